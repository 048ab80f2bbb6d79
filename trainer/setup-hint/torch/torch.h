// Found only while target/native/libtorch is missing: .cargo/config.toml puts this folder last among
// the include folders, so that torch-sys ends here rather than in a puzzling error of its own.
#include "libtorch is not set up: run `cargo xtask setup` first"
