"""
The program: the command line, all roles in one process, the embedded server, the doctor.
"""
