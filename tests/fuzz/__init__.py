"""
Webhooks made by a fuzzer that sees which code they reach: `make fuzz`.
"""
