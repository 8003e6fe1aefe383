"""What is served: the demo, or a WordPress. Chosen once (`chosen`), and asked alike (`site`)."""
