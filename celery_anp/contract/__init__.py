"""What a task declares: its options, its typed input and result, and what it must say."""
