"""What `anp up` needs: embedded Redis, the state folder, and the parts that it starts."""
