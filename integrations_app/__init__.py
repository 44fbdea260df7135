"""What may agents call, and what did they call?"""
