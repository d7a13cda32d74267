"""
Consumers of other libraries, each run by its own command in an environment of its own (`make peers`).
"""
