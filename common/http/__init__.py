"""
HTTP towards others: clients, the guard on addresses given by users, and headers.
"""
