"""How close a variant is to the FP32 reference."""
