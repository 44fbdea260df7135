"""The kit of the back office: who asks, pages of our own, model pages that are safe."""
