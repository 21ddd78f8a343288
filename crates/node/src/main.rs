//! The binary `proofmesh`.

fn main() -> std::process::ExitCode {
    proofmesh::cmd::main()
}
