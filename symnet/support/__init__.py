"""What any room may use: errors, validation of options, near names, optional packages, files, the terminal.

Nothing here knows of networks.
"""
