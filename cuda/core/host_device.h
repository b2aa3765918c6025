// Lets one function body serve g++, nvcc and clang for WebAssembly. The only macro in the codebase.
#pragma once

#ifdef __CUDACC__
#define SP_HOST_DEVICE __host__ __device__
#else
#define SP_HOST_DEVICE
#endif
