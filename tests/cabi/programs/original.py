"""What the documented ctypes program of the framework we follow does."""

import ctypes
import json
import sys

loom = ctypes.CDLL(sys.argv[1] + "/libloom.so")
loom.Loom_NewNetwork.restype = ctypes.c_char_p
loom.Loom_Call.restype = ctypes.c_char_p
loom.Loom_FreeCString.argtypes = [ctypes.c_char_p]

result = loom.Loom_NewNetwork(784, 2, 1, 1, False)
handle = json.loads(result.decode("utf-8"))["handle"]
loom.Loom_FreeCString(result)

output = loom.Loom_Call(handle, b"ForwardCPU", json.dumps([[0.1] * 784]).encode())
print(output.decode("utf-8"))
loom.Loom_FreeCString(output)

loom.Loom_Free(handle)
print("freed")
