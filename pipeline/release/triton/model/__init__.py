"""What runs inside tritonserver.  These files are copied into the model repository as they are.

They import numpy and ``chattts_onnx`` only, and each other relatively: Triton imports a model file
as a module of the package that its version folder is.
"""
