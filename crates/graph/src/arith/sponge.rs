//! The claims of a commitment: that the digest is the sponge over elements of committed columns.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::ops::Range;
use p3_field::PrimeCharacteristicRing;
use proofmesh_proof::field::{F, int, log2_ceil};
use proofmesh_proof::system::{Axis, ColumnId, Entry, SumClaim, SumPoint, Term};

use super::{Builder, column, entry, expr, public, real_tau, stated, wire};
use crate::hash::{self, FULL_ROUNDS, PARTIAL_ROUNDS, Packing, RATE, Salt, WIDTH};
use crate::words::Word;

/// `log2` of the full rounds.
const ROUNDS_LOG: usize = 3;
/// `log2` of the lanes of a state.
const LANES_LOG: usize = 4;
/// `log2` of the full rounds' S-boxes of one permutation: rounds, then lanes.
const FULL_LOG: usize = ROUNDS_LOG + LANES_LOG;
/// `log2` of the partial rounds' S-boxes of one permutation, padded.
const PARTIAL_LOG: usize = 5;

/// One value of an absorbed list: where it lies and what is added to make it non-negative.
#[derive(Clone, Copy, Debug)]
pub struct Absorbed {
    /// Column `[lists][cells]`.
    pub column: ColumnId,
    /// Cell inside one list's part of the column.
    pub cell: usize,
    /// Added before absorption.
    pub offset: i64,
}

/// Columns and ranges that the claims share.
struct Layout {
    lists: usize,
    list_log: usize,
    block_log: usize,
    element_log: usize,
    full: ColumnId,
    partial: ColumnId,
    message: ColumnId,
    salt: ColumnId,
    packing: Packing,
}

impl Layout {
    /// Ranges of the list, permutation and S-box coordinates for S-boxes of the given `log2`.
    fn ranges(&self, sbox_log: usize) -> [Range<usize>; 3] {
        let (a, b) = (self.list_log, self.list_log + self.block_log);
        [0..a, a..b, b..b + sbox_log]
    }

    /// Permutation p reads what belongs to permutation p - 1.
    fn shifted(&self, var: Range<usize>, log: usize) -> Axis {
        let last = (1usize << log).min((1 << self.block_log) - 1);
        wire(0..0, var, log, (0..last).map(|i| entry(0, i + 1, i, F::ONE)).collect())
    }
}

impl Builder<'_> {
    /// Demands that the digest of each list is the sponge over its values. `values[b]` and `salts[b]` are given on the prover's side.
    ///
    /// Every absorbed value must be bounded below `2^bits` elsewhere; the copy into the message is proven here.
    pub fn sponge(
        &mut self,
        name: &str,
        packing: Packing,
        absorbed: &[Absorbed],
        digests: &[[Word; RATE]],
        witness: Option<(Vec<Vec<u32>>, Vec<Salt>)>,
    ) {
        let lists = digests.len();
        let (list_log, block_log) = (log2_ceil(lists), log2_ceil(packing.permutations()));
        let element_log = log2_ceil(packing.per_element());
        let message_blocks = log2_ceil(packing.permutations() - 1);
        let cells = witness.map(|(values, salts)| {
            trace(packing, &values, &salts, [list_log, block_log, element_log, message_blocks])
        });
        let [full, partial, message, salt] = cells.unwrap_or_default();
        let layout = Layout {
            lists,
            list_log,
            block_log,
            element_log,
            packing,
            full: self.column(alloc::format!("{name}.full"), list_log + block_log + FULL_LOG, |_| full),
            partial: self.column(
                alloc::format!("{name}.partial"),
                list_log + block_log + PARTIAL_LOG,
                |_| partial,
            ),
            message: self.column(
                alloc::format!("{name}.message"),
                list_log + message_blocks + 3 + element_log,
                |_| message,
            ),
            salt: self.column(alloc::format!("{name}.salt"), list_log + 3, |_| salt),
        };
        self.copy(name, &layout, message_blocks, absorbed);
        let full_inputs = layout.full_inputs(message_blocks);
        self.sboxes(
            alloc::format!("{name}: full rounds"),
            layout.full,
            layout.ranges(FULL_LOG)[2].end,
            full_inputs,
        );
        let partial_inputs = layout.partial_inputs();
        self.sboxes(
            alloc::format!("{name}: partial rounds"),
            layout.partial,
            layout.ranges(PARTIAL_LOG)[2].end,
            partial_inputs,
        );
        self.squeeze(name, &layout, digests);
    }

    /// `out = in^3` for every S-box.
    fn sboxes(&mut self, name: alloc::string::String, out: ColumnId, vars: usize, inputs: Vec<Term>) {
        self.reserve(vars);
        self.sum(SumClaim {
            name,
            point: SumPoint::Tau,
            vars,
            eq: Some((0..vars, 0..vars)),
            products: alloc::vec![(F::ONE, alloc::vec![0, 0, 0])],
            factors: alloc::vec![expr(inputs)],
            rhs: expr(alloc::vec![column(F::ONE, out, alloc::vec![Axis::Tau(0..vars)])]),
        });
    }

    /// Every cell of the message is the absorbed value that belongs there plus its offset, or zero where none does: a free digit beside a
    /// bound one would let the element, and so the digest, stay while the value changes.
    fn copy(&mut self, name: &str, layout: &Layout, message_blocks: usize, absorbed: &[Absorbed]) {
        let message_log = message_blocks + 3 + layout.element_log;
        let (lists, tau) = (0..layout.list_log, layout.list_log..layout.list_log + message_log);
        self.reserve(tau.end);
        let digit = |i: usize| {
            let (block, element, place) = layout.packing.position(i);
            (block * RATE + element) << layout.element_log | place
        };
        let mut terms = alloc::vec![column(F::ONE, layout.message, alloc::vec![Axis::Tau(0..tau.end)])];
        let mut sources: Vec<ColumnId> = absorbed.iter().map(|a| a.column).collect();
        sources.dedup();
        for source in sources {
            let log = self.out.system.columns[source].log - layout.list_log;
            let mine = absorbed.iter().enumerate().filter(|(_, a)| a.column == source);
            let cells: Vec<(usize, usize)> = mine.map(|(i, a)| (digit(i), a.cell)).collect();
            let plane = self.planes[source].map_or(0, |p| p.log);
            let axes = factored(tau.clone(), log, plane, &cells);
            terms.push(column(-F::ONE, source, [alloc::vec![Axis::Tau(lists.clone())], axes].concat()));
        }
        let mut offsets = alloc::vec![F::ZERO; 1 << message_log];
        for (i, a) in absorbed.iter().enumerate() {
            offsets[digit(i)] = int(a.offset);
        }
        terms.push(public(-F::ONE, offsets, alloc::vec![real_tau(lists, layout.lists), Axis::Tau(tau)]));
        self.linear(alloc::format!("{name}: absorbed values"), expr(terms));
    }

    /// The digests are the first half of the last states.
    fn squeeze(&mut self, name: &str, layout: &Layout, digests: &[[Word; RATE]]) {
        let (lists, lane) = (0..layout.list_log, layout.list_log..layout.list_log + 3);
        self.reserve(lane.end);
        let real = (0..layout.lists).map(|b| entry(b, 0, b, F::ONE)).collect();
        let last = alloc::vec![entry(0, 0, layout.packing.permutations() - 1, F::ONE)];
        let matrix = hash::external_matrix();
        let state = (0..RATE).flat_map(|j| (0..WIDTH).map(move |l| entry(j, 0, l, matrix[j][l])));
        let axes = alloc::vec![
            wire(lists.clone(), 0..0, layout.list_log, real),
            wire(0..0, 0..0, layout.block_log, last),
            Axis::At { log: ROUNDS_LOG, index: FULL_ROUNDS - 1 },
            wire(lane.clone(), 0..0, LANES_LOG, state.collect()),
        ];
        let mut values = alloc::vec![Word::PADDING; RATE << layout.list_log];
        for (row, digest) in values.chunks_mut(RATE).zip(digests) {
            row.copy_from_slice(digest);
        }
        let known = stated(-F::ONE, &values, alloc::vec![Axis::Tau(lists), Axis::Tau(lane)]);
        self.linear(
            alloc::format!("{name}: digest"),
            expr(alloc::vec![column(F::ONE, layout.full, axes), known]),
        );
    }
}

impl Layout {
    /// Inputs of the full rounds' S-boxes as functions of (list, permutation, round and lane).
    fn full_inputs(&self, message_blocks: usize) -> Vec<Term> {
        let [list, block, sbox] = self.ranges(FULL_LOG);
        let (round, lane) = (sbox.start..sbox.start + ROUNDS_LOG, sbox.start + ROUNDS_LOG..sbox.end);
        let matrix = hash::external_matrix();
        let maps = hash::partial_maps();
        // Round 0 sees the absorbed block and the capacity; rounds 1-3 and 5-7 the round before; round 4 round 3 and the partial S-boxes.
        let mut earlier: Vec<Entry> = Vec::new();
        let mut fourth = Vec::new();
        let mut inner = Vec::new();
        let mut absorbed = Vec::new();
        let mut salted = Vec::new();
        let mut carried = Vec::new();
        for lane in 0..WIDTH {
            let map = &maps[PARTIAL_ROUNDS + lane];
            earlier.extend((0..WIDTH).map(|l| entry(0, lane, l, matrix[lane][l])));
            fourth.extend((0..WIDTH).map(|l| entry(0, lane, l, map[l])));
            inner.extend((0..PARTIAL_ROUNDS).map(|i| entry(0, lane, i, map[WIDTH + i])));
            for (element, weight) in matrix[lane][..RATE].iter().enumerate() {
                salted.push(entry(0, lane, element, *weight));
                for place in 0..self.packing.per_element() {
                    let scale = F::from_u64(1 << (self.packing.bits * place));
                    absorbed.push(entry(0, lane, element << self.element_log | place, *weight * scale));
                }
            }
            for l in 0..WIDTH {
                let weight: F = (RATE..WIDTH).map(|i| matrix[lane][i] * matrix[i][l]).sum();
                carried.push(entry(0, lane, l, weight));
            }
        }
        let first = |log: usize| wire(0..0, block.clone(), log, alloc::vec![entry(0, 0, 0, F::ONE)]);
        let mut constants = alloc::vec![F::ZERO; 1 << FULL_LOG];
        let mut capacity = alloc::vec![F::ZERO; WIDTH];
        for (i, c) in constants.iter_mut().enumerate() {
            *c = hash::full_constant(i / WIDTH, i % WIDTH);
        }
        for (lane, c) in capacity.iter_mut().enumerate() {
            *c = self.packing.capacity().iter().enumerate().map(|(i, v)| matrix[lane][RATE + i] * *v).sum();
        }
        let (l, b) = (Axis::Var(list.clone()), Axis::Var(block.clone()));
        let onto = |log: usize, entries: Vec<Entry>| wire(0..0, lane.clone(), log, entries);
        // Pairs of a round and the one that it reads, or of a round and 0 in an axis of one cell.
        let from = |log: usize, rounds: &[(usize, usize)]| {
            wire(0..0, round.clone(), log, rounds.iter().map(|(r, i)| entry(0, *r, *i, F::ONE)).collect())
        };
        let before: Vec<(usize, usize)> = (1..FULL_ROUNDS).filter(|r| *r != 4).map(|r| (r, r - 1)).collect();
        let carry = self.shifted(block.clone(), self.block_log);
        let digits = self.shifted(block.clone(), message_blocks);
        let full = |axes: [Axis; 4]| column(F::ONE, self.full, axes.to_vec());
        alloc::vec![
            full([l.clone(), b.clone(), from(ROUNDS_LOG, &before), onto(LANES_LOG, earlier)]),
            full([l.clone(), b.clone(), from(ROUNDS_LOG, &[(4, 3)]), onto(LANES_LOG, fourth)]),
            full([l.clone(), carry, from(ROUNDS_LOG, &[(0, FULL_ROUNDS - 1)]), onto(LANES_LOG, carried)]),
            column(
                F::ONE,
                self.partial,
                alloc::vec![l.clone(), b, from(0, &[(4, 0)]), onto(PARTIAL_LOG, inner)]
            ),
            column(
                F::ONE,
                self.message,
                alloc::vec![l.clone(), digits, from(0, &[(0, 0)]), onto(3 + self.element_log, absorbed)]
            ),
            column(F::ONE, self.salt, alloc::vec![l, first(0), from(0, &[(0, 0)]), onto(3, salted)]),
            public(F::ONE, constants, alloc::vec![Axis::Var(sbox)]),
            public(F::ONE, capacity, alloc::vec![first(0), from(0, &[(0, 0)]), Axis::Var(lane.clone())]),
        ]
    }

    /// Inputs of the partial rounds' S-boxes.
    fn partial_inputs(&self) -> Vec<Term> {
        let [list, block, sbox] = self.ranges(PARTIAL_LOG);
        let maps = hash::partial_maps();
        let mut outer = Vec::new();
        let mut inner = Vec::new();
        let mut constants = alloc::vec![F::ZERO; 1 << PARTIAL_LOG];
        for i in 0..PARTIAL_ROUNDS {
            outer.extend((0..WIDTH).map(|l| entry(0, i, l, maps[i][l])));
            inner.extend((0..i).map(|j| entry(0, i, j, maps[i][WIDTH + j])));
            constants[i] = hash::partial_constant(i);
        }
        let (l, b) = (Axis::Var(list), Axis::Var(block));
        let onto = |log: usize, entries: Vec<Entry>| wire(0..0, sbox.clone(), log, entries);
        let third = Axis::At { log: ROUNDS_LOG, index: 3 };
        alloc::vec![
            column(F::ONE, self.full, alloc::vec![l.clone(), b.clone(), third, onto(LANES_LOG, outer)]),
            column(F::ONE, self.partial, alloc::vec![l, b, onto(PARTIAL_LOG, inner)]),
            public(F::ONE, constants, alloc::vec![Axis::Var(sbox)]),
        ]
    }
}

/// Wires of weight 1 from places of `tau`'s cube onto cells of an axis of `2^log`, as a product of two where they are one: tables of half
/// the length then take the place of one. The second is no shorter than `plane`.
fn factored(tau: Range<usize>, log: usize, plane: usize, pairs: &[(usize, usize)]) -> Vec<Axis> {
    let part = |t: usize, i: usize, high: bool| -> BTreeSet<(usize, usize)> {
        let cut = |at: usize, bits: usize| if high { at >> bits } else { at & ((1 << bits) - 1) };
        pairs.iter().map(|(from, to)| (cut(*from, t), cut(*to, i))).collect()
    };
    // All pairs are there if there are as many as pairs of a first and a second part.
    let cuts = (plane..log).flat_map(|i| (0..=tau.len()).map(move |t| (t, i)));
    let products = cuts.map(|(t, i)| (t, i, part(t, i, true), part(t, i, false)));
    let products = products.filter(|(_, _, high, low)| high.len() * low.len() == pairs.len());
    let wires = |tau: Range<usize>, log: usize, pairs: BTreeSet<(usize, usize)>| {
        wire(tau, 0..0, log, pairs.into_iter().map(|(t, i)| entry(t, 0, i, F::ONE)).collect())
    };
    match products.min_by_key(|(_, _, high, low)| high.len() + low.len()) {
        Some((t, i, high, low)) => {
            let middle = tau.end - t;
            alloc::vec![wires(tau.start..middle, log - i, high), wires(middle..tau.end, i, low)]
        }
        None => alloc::vec![wires(tau, log, pairs.iter().copied().collect())],
    }
}

/// Cells of the four columns: S-box outputs of every permutation (padding continues the chain over zeros), message digits, salts.
fn trace(packing: Packing, values: &[Vec<u32>], salts: &[Salt], logs: [usize; 4]) -> [Vec<F>; 4] {
    let [list_log, block_log, element_log, message_blocks] = logs;
    let mut full = alloc::vec![F::ZERO; 1 << (list_log + block_log + FULL_LOG)];
    let mut partial = alloc::vec![F::ZERO; 1 << (list_log + block_log + PARTIAL_LOG)];
    let message_log = message_blocks + 3 + element_log;
    let mut message = alloc::vec![F::ZERO; 1 << (list_log + message_log)];
    let mut salt_cells = alloc::vec![F::ZERO; RATE << list_log];
    let none = (Vec::new(), [F::ZERO; RATE]);
    for list in 0..1 << list_log {
        let (list_values, salt) = match (values.get(list), salts.get(list)) {
            (Some(v), Some(s)) => (v, s),
            _ => (&none.0, &none.1),
        };
        salt_cells[list * RATE..][..RATE].copy_from_slice(salt);
        for (i, v) in list_values.iter().enumerate() {
            let (block, element, place) = packing.position(i);
            message[(list << message_log) + ((block * RATE + element) << element_log | place)] =
                int(i64::from(*v));
        }
        let mut blocks = packing.blocks(list_values);
        blocks.resize((1 << block_log) - 1, [F::ZERO; RATE]);
        let mut state = [F::ZERO; WIDTH];
        state[RATE..].copy_from_slice(&packing.capacity());
        for (p, block) in core::iter::once(salt).chain(&blocks).enumerate() {
            state[..RATE].copy_from_slice(block);
            let out = hash::permute_traced(&mut state);
            let at = (list << block_log) + p;
            for (round, row) in out.full.iter().enumerate() {
                full[(at << FULL_LOG) + round * WIDTH..][..WIDTH].copy_from_slice(row);
            }
            partial[at << PARTIAL_LOG..][..PARTIAL_ROUNDS].copy_from_slice(&out.partial);
        }
    }
    [full, partial, message, salt_cells]
}
