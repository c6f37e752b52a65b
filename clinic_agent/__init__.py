"""A clinic's telephone assistant: a client of a realtime voice API.

It knows a URL, a key and the wire, and nothing about what stands behind them: the same code runs on the live service
and on any endpoint that speaks its language.
"""
