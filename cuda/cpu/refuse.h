// How decoders say that bytes are damaged: an exception, or, where there are none (WebAssembly), a message and a
// trap, after which nothing of the instance may be used but the message.
#pragma once

#include <new>
#include <stdexcept>
#include <string>

namespace scenepress {

#if defined(__cpp_exceptions)
[[noreturn]] inline void refuse(const std::string& why) { throw std::invalid_argument(why); }
[[noreturn]] inline void out_of_memory() { throw std::bad_alloc(); }
#else
[[noreturn]] void refuse(const std::string& why);
[[noreturn]] inline void out_of_memory() { refuse("out of memory"); }
#endif

}  // namespace scenepress
