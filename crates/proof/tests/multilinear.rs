//! A claim in which a challenge enters twice is refused by name: it would not be multilinear in the challenges.

use p3_field::PrimeCharacteristicRing;
use proofmesh_proof::field::F;
use proofmesh_proof::plan::Plan;
use proofmesh_proof::system::{
    Axis, Column, Expr, LinearClaim, Lookup, Source, SumClaim, SumPoint, System, Table, TableValues, Term,
};

/// Column 0 of four cells read along the axes.
fn read(axes: Vec<Axis>) -> Expr {
    let source = Source::Column(0);
    Expr { constant: F::ZERO, terms: vec![Term { coef: F::ONE, source, axes }] }
}

fn system() -> System {
    let column = |name: &str, log| Column { name: name.into(), log };
    let table = Table { log: 1, first: 0, values: TableValues::Range, multiplicity: 1 };
    let (key, value) = (Expr::default(), Expr::default());
    let lookup = Lookup { name: "rows".into(), table: 0, vars: 2, key, value, real: Vec::new() };
    System {
        columns: vec![column("values", 2), column("multiplicities", 1)],
        tables: vec![table],
        lookups: vec![lookup],
        tau_len: 2,
        ..System::default()
    }
}

fn sum(point: SumPoint, factors: Vec<Expr>) -> SumClaim {
    let products = vec![(F::ONE, (0..factors.len()).collect())];
    SumClaim { name: "sum".into(), point, vars: 2, eq: None, products, factors, rhs: Expr::default() }
}

/// The name of the check that refuses the system.
fn refusal(system: &System) -> Option<&'static str> {
    Plan::new(system, true).err().map(|reject| reject.check)
}

#[test]
fn a_challenge_enters_a_product_once() {
    let (first, second) = (vec![Axis::Tau(0..1), Axis::Var(0..1)], vec![Axis::Var(0..1), Axis::Tau(1..2)]);
    for point in [SumPoint::Tau, SumPoint::Row(0)] {
        let with = |factors| System { sums: vec![sum(point, factors)], ..system() };
        assert_eq!(refusal(&with(vec![read(first.clone()), read(second.clone())])), None);
        assert_eq!(refusal(&with(vec![read(first.clone()), read(first.clone())])), Some("system.shape"));
        let eq = SumClaim { eq: Some((0..1, 0..1)), ..sum(point, vec![read(first.clone())]) };
        assert_eq!(refusal(&System { sums: vec![eq], ..system() }), Some("system.shape"));
    }
}

#[test]
fn a_challenge_enters_a_term_once_and_keys_hold_bare_sums() {
    let linear = |axes| LinearClaim { name: "linear".into(), expr: read(axes) };
    let with = |axes| System { linears: vec![linear(axes)], ..system() };
    assert_eq!(refusal(&with(vec![Axis::Tau(0..2)])), None);
    assert_eq!(refusal(&with(vec![Axis::Tau(0..1), Axis::Tau(0..1)])), Some("system.shape"));
    let factors = vec![read(vec![Axis::Var(0..2)])];
    let rhs = Expr { constant: F::ONE, terms: Vec::new() };
    for (point, refused) in [(SumPoint::Tau, None), (SumPoint::Row(0), Some("system.shape"))] {
        let claim = SumClaim { rhs: rhs.clone(), ..sum(point, factors.clone()) };
        assert_eq!(refusal(&System { sums: vec![claim], ..system() }), refused);
    }
    let dangling = sum(SumPoint::Row(7), factors);
    assert_eq!(refusal(&System { sums: vec![dangling], ..system() }), Some("system.shape"));
}
