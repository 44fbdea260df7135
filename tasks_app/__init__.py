"""What must a person decide?"""
