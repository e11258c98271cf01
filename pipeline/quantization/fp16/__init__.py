"""FP32 to FP16, with what is unsafe kept in FP32."""
