"""The order of several legs, by hypothesis: see leg_machine.py."""

from hypothesis import settings

from .leg_machine import PlainAgainMachine, PlainHedgedMachine, PlainLegMachine

TestLegs = PlainLegMachine.TestCase
TestLegs.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)

TestHedged = PlainHedgedMachine.TestCase
TestHedged.settings = settings(max_examples=30, stateful_step_count=50, deadline=None)

TestAgain = PlainAgainMachine.TestCase
TestAgain.settings = settings(max_examples=25, stateful_step_count=50, deadline=None)
