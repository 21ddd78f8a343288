//! The project keeps its own rules, and the rules can fail.

use std::path::Path;

use xtask::tidy;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

#[test]
fn imports_between_crates_are_as_drawn() {
    let findings = tidy::imports(root());
    assert!(findings.is_empty(), "{findings:#?}");
}

#[test]
fn every_source_keeps_the_rules() {
    let findings = tidy::check(root());
    assert!(findings.is_empty(), "{findings:#?}");
}

#[test]
fn an_arrow_is_seen_in_a_manifest_and_a_test_dependency_is_not() {
    let manifest = "[dependencies]\nproofmesh-market.workspace = true\n[dev-dependencies]\nproofmesh-node = { path = \"x\" }\n";
    assert_eq!(tidy::used_crates(manifest), ["market"]);
}
