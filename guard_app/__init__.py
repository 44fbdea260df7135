"""Is this call suspicious?"""
