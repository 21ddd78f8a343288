//! On macOS a library that Python loads has to be told that Python's names come later.

fn main() {
    pyo3_build_config::add_extension_module_link_args();
}
