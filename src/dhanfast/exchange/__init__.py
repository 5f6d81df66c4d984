"""A broker and an exchange on loopback: Dhan's protocols over the native matching kernel.

`core.ExchangeCore` is all of it without sockets, clocks or threads: requests in, answers, order
updates and feed packets out. `server` puts it on one port.
"""
