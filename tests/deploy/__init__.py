"""
What lies in deploy/: checked by the tools it is made for, where they are installed.
"""
