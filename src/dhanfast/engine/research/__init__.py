"""Research: many backtests of one strategy, to choose parameters and to see what choosing is worth.

Every trial runs the one kernel, set up as `runs.backtest` sets it up: nothing here decides, fills
or bills. What is shared between trials is what does not change: bars, sessions, settings.
"""
