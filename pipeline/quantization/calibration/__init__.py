"""What the FP32 bundle says to real prompts, and its statistics."""
