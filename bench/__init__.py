"""
The benchmark: what one machine takes and drains, measured in one go. Run it with `make bench`.
"""
