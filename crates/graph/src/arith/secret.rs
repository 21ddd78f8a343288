//! Vectors of small cells behind a lattice commitment ([`crate::lattice`]): how private tensors lie in one, and what proves its image.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;
use p3_field::PrimeCharacteristicRing;
use proofmesh_proof::field::{F, int, log2_ceil};
use proofmesh_proof::lattice::{RING, RING_LOG};
use proofmesh_proof::system::{Axis, ColumnId, Term};

use super::{Builder, column, entry, expr, public, wire};
use crate::lattice::{self, CELL_BITS, Image};

/// Most parts that an axis is cut into; the last one is padded.
const MAX_PARTS: usize = 3;
/// Tensors of at most this many padded cells stay whole.
const WHOLE: usize = RING;

/// Indices `start .. start + len` of a tensor's axis, on an axis of `2^log` cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// First index.
    pub start: usize,
    /// How many.
    pub len: usize,
    /// `log2` of the cells.
    pub log: usize,
}

impl Span {
    /// The whole of an axis.
    fn whole(size: usize) -> Self {
        Self { start: 0, len: size, log: log2_ceil(size) }
    }

    /// Powers of two that cover an axis, largest first: the binary digits of its size, the last part rounded up.
    fn parts(size: usize) -> Vec<Self> {
        let mut parts: Vec<Self> = Vec::new();
        let mut start = 0;
        while start < size {
            let rest = size - start;
            let last = parts.len() + 1 == MAX_PARTS;
            let log = if last { log2_ceil(rest) } else { rest.ilog2() as usize };
            let len = rest.min(1 << log);
            parts.push(Self { start, len, log });
            start += len;
        }
        let cells: usize = parts.iter().map(|p| 1 << p.log).sum();
        if cells < size.next_power_of_two() { parts } else { alloc::vec![Self::whole(size)] }
    }

    /// The axis whose cell for index i has the weight of the vertex `(challenges, variables) = at(i)`; padding has none.
    pub fn axis(&self, tau: Range<usize>, var: Range<usize>, at: impl Fn(usize) -> (usize, usize)) -> Axis {
        let cell = |i: usize| {
            let (t, v) = at(self.start + i);
            entry(t, v, i, F::ONE)
        };
        wire(tau, var, self.log, (0..self.len).map(cell).collect())
    }

    /// The axis whose index is the vertex of the variables.
    pub fn var(&self, var: Range<usize>) -> Axis {
        if self.start == 0 && self.len == 1 << var.len() {
            return Axis::Var(var);
        }
        self.axis(0..0, var, |i| (0, i))
    }
}

/// A box of a tensor's indices, at cells `offset ..` of the vector.
#[derive(Clone, Debug)]
struct Part {
    spans: Vec<Span>,
    offset: usize,
}

impl Part {
    fn log(&self) -> usize {
        self.spans.iter().map(|s| s.log).sum()
    }
}

/// A tensor of signed integers of so many bits, at most 12.
#[derive(Clone, Debug)]
pub struct SmallTensor {
    /// Sizes of its axes.
    pub shape: Vec<usize>,
    /// Every element is proven to lie in `[-2^(bits-1), 2^(bits-1))`.
    pub bits: u32,
}

/// A tensor and the boxes that it is cut into.
#[derive(Clone, Debug)]
struct Cut {
    tensor: SmallTensor,
    parts: Vec<Part>,
}

/// Consecutive blocks of cells of one bound.
#[derive(Clone, Debug)]
struct Segment {
    bits: u32,
    blocks: Range<usize>,
}

/// Where private tensors lie in their vector.
///
/// Tensors of the same bits share a segment of whole blocks, fewest bits first; the last one has 12. Every tensor is cut into parts of powers
/// of two; in a segment the parts of all tensors follow each other by descending size, so that the offset of each in it is a multiple of its
/// size. Zeros fill the last block of a segment.
#[derive(Clone, Debug)]
pub struct Layout {
    tensors: Vec<Cut>,
    segments: Vec<Segment>,
}

impl Layout {
    /// The layout of tensors.
    pub fn new(tensors: Vec<SmallTensor>) -> Self {
        let cut = |tensor: SmallTensor| Cut { parts: parts(&tensor.shape), tensor };
        let mut tensors: Vec<Cut> = tensors.into_iter().map(cut).collect();
        let bounds: BTreeSet<u32> = tensors.iter().map(|t| t.tensor.bits).chain([CELL_BITS]).collect();
        let (mut segments, mut next) = (Vec::new(), 0);
        for bits in bounds {
            let first = next / RING;
            let own = tensors.iter_mut().filter(|t| t.tensor.bits == bits);
            let mut order: Vec<&mut Part> = own.flat_map(|t| &mut t.parts).collect();
            order.sort_by_key(|p| core::cmp::Reverse(p.log()));
            for part in order {
                part.offset = next;
                next += 1 << part.log();
            }
            next = next.next_multiple_of(RING);
            segments.push(Segment { bits, blocks: first..next / RING });
        }
        Self { tensors, segments }
    }

    /// Blocks of 1,024 cells, without salt.
    pub fn blocks(&self) -> usize {
        self.segments.last().map_or(0, |s| s.blocks.end)
    }

    /// Columns for the vector and `salt` blocks of 12 bits after it, every cell proven to fit its bits. `cells` are those of both, on the
    /// prover's side.
    pub fn columns(&self, b: &mut Builder<'_>, name: &str, salt: usize, cells: Option<&[F]>) -> Vec<Stretch> {
        let of = |Segment { bits, blocks }: &Segment| {
            let blocks = blocks.start..blocks.end + if *bits == CELL_BITS { salt } else { 0 };
            let own: Vec<&[F]> = cells.iter().map(|c| &c[blocks.start * RING..blocks.end * RING]).collect();
            let narrow = alloc::format!("{name}, {bits}-bit part");
            b.small_cells(if *bits == CELL_BITS { name } else { &narrow }, *bits, 1, blocks, &own)
        };
        self.segments.iter().flat_map(of).collect()
    }

    /// The vector for the tensors' values, row-major.
    pub fn cells(&self, values: &[Vec<i32>]) -> Vec<F> {
        let mut cells = F::zero_vec(self.blocks() * RING);
        for (Cut { tensor, parts }, values) in self.tensors.iter().zip(values) {
            for part in parts {
                // Row-major index and cell of every element of the box, axis by axis.
                let mut places = alloc::vec![(0usize, 0usize)];
                for (size, span) in tensor.shape.iter().zip(&part.spans) {
                    let step = |(row, cell): (usize, usize)| {
                        (0..span.len).map(move |i| (row * size + span.start + i, (cell << span.log) + i))
                    };
                    places = places.into_iter().flat_map(step).collect();
                }
                let own = &mut cells[part.offset..];
                places.into_iter().for_each(|(row, cell)| own[cell] = int(i64::from(values[row])));
            }
        }
        cells
    }

    /// The tensors, read from the columns of the vector.
    ///
    /// No part straddles two columns: in its segment a column starts at the sum of the largest powers of two of the segment's length, down to
    /// its own size. A part of s cells at a multiple of s lies in `[0, floor(len / s) s)`, the sum of the powers of at least s, which are columns whose
    /// bounds are multiples of s.
    pub fn tensors(&self, stretches: &[Stretch]) -> Vec<PrivateTensor> {
        let place = |part: &Part| {
            let inside = |s: &&Stretch| (s.first..s.first + (1 << s.log)).contains(&(part.offset / RING));
            let stretch = stretches.iter().find(inside).expect("the columns cover the vector");
            let index = (part.offset - stretch.first * RING) >> part.log();
            let at = Axis::At { log: stretch.log + RING_LOG - part.log(), index };
            (stretch.column, at, part.spans.clone())
        };
        let tensor = |cut: &Cut| PrivateTensor { parts: cut.parts.iter().map(place).collect() };
        self.tensors.iter().map(tensor).collect()
    }
}

/// The boxes of a tensor: the products of its axes' parts, largest first on each axis.
fn parts(shape: &[usize]) -> Vec<Part> {
    let padded = shape.iter().map(|n| n.next_power_of_two()).fold(1usize, usize::saturating_mul);
    let mut boxes: Vec<Vec<Span>> = alloc::vec![Vec::new()];
    for size in shape {
        let spans = if padded > WHOLE { Span::parts(*size) } else { alloc::vec![Span::whole(*size)] };
        let grow = |b: Vec<Span>| {
            let with = |s: &Span| [&b[..], core::slice::from_ref(s)].concat();
            spans.iter().map(with).collect::<Vec<_>>()
        };
        boxes = boxes.into_iter().flat_map(grow).collect();
    }
    boxes.into_iter().map(|spans| Part { spans, offset: 0 }).collect()
}

/// A private tensor, as sub-blocks of the vector's columns.
#[derive(Clone, Debug)]
pub struct PrivateTensor {
    parts: Vec<(ColumnId, Axis, Vec<Span>)>,
}

impl PrivateTensor {
    /// Terms that read the tensor, one a part: `axis(n, span)` says how its n-th axis is read. The first axis of each term picks the part.
    pub fn terms(&self, coef: F, axis: impl Fn(usize, &Span) -> Axis) -> Vec<Term> {
        let term = |(of, at, spans): &(ColumnId, Axis, Vec<Span>)| {
            let own = spans.iter().enumerate().map(|(n, span)| axis(n, span));
            column(coef, *of, core::iter::once(at.clone()).chain(own).collect())
        };
        self.parts.iter().map(term).collect()
    }
}

/// Blocks `first .. first + 2^log` of a committed vector: a column `[lists][2^log][1024]`.
#[derive(Clone, Debug)]
pub struct Stretch {
    /// First block.
    pub first: usize,
    /// `log2` of the blocks.
    pub log: usize,
    /// The column.
    pub column: ColumnId,
}

impl Builder<'_> {
    /// Columns for some blocks of vectors, one a power of two of their number, every cell proven to lie in `[-2^(bits-1), 2^(bits-1))`.
    /// `cells[l]` are those of list l, on the prover's side.
    pub fn small_cells(
        &mut self,
        name: &str,
        bits: u32,
        lists: usize,
        blocks: Range<usize>,
        cells: &[&[F]],
    ) -> Vec<Stretch> {
        let mut stretches = Vec::new();
        let mut start = 0;
        while start < blocks.len() {
            let log = (blocks.len() - start).ilog2() as usize;
            let vars = log2_ceil(lists) + log + RING_LOG;
            let range = start * RING..(start + (1 << log)) * RING;
            let column_id = self.column(alloc::format!("{name}.{}", stretches.len()), vars, |_| {
                let mut all: Vec<F> = cells.iter().flat_map(|c| c[range.clone()].iter().copied()).collect();
                all.resize(1 << vars, F::ZERO);
                all
            });
            let mut key = expr(alloc::vec![column(F::ONE, column_id, alloc::vec![Axis::Var(0..vars)])]);
            key.constant = int(1 << (bits - 1));
            self.range(&alloc::format!("{name}: {bits} bits"), 1 << bits, vars, key, Vec::new());
            stretches.push(Stretch { first: blocks.start + start, log, column: column_id });
            start += 1 << log;
        }
        stretches
    }

    /// Demands that each list's vector has its image: `sum_j a_j w_j = u + (X^1024 + 1) h` over `F[X]`, at a challenge zeta. Both sides
    /// have degree at most 2,047.
    pub fn image(&mut self, name: &str, stretches: &[Stretch], images: &[Image]) {
        let list_log = log2_ceil(images.len());
        let zeta = self.fresh();
        let high = if self.traces.is_some() { self.high(stretches, images.len()) } else { Vec::new() };
        let high = self.column(alloc::format!("{name}.h"), list_log + RING_LOG, |_| high);
        let real = (0..images.len()).map(|l| entry(l, 0, l, F::ONE)).collect();
        let list = wire(0..list_log, 0..0, list_log, real);
        let powers = |first: usize| Axis::Powers { tau: zeta, first, log: RING_LOG };
        let mut terms = Vec::new();
        for stretch in stretches {
            let blocks = Axis::Lattice { tau: zeta, first: stretch.first, log: stretch.log };
            terms.push(column(F::ONE, stretch.column, alloc::vec![list.clone(), blocks, powers(0)]));
        }
        for first in [0, RING] {
            terms.push(column(-F::ONE, high, alloc::vec![list.clone(), powers(first)]));
        }
        let mut known: Vec<F> = images.iter().flat_map(|u| u.coefficients().iter().copied()).collect();
        known.resize(RING << list_log, F::ZERO);
        terms.push(public(-F::ONE, known, alloc::vec![list, powers(0)]));
        self.linear(String::from(name) + ": image", expr(terms));
    }

    /// `h` of each list, from the cells of its columns.
    fn high(&self, stretches: &[Stretch], lists: usize) -> Vec<F> {
        let vector = |l: usize| {
            let part = |s: &Stretch| {
                let size = RING << s.log;
                self.out.cells[s.column][l * size..][..size].iter().copied()
            };
            stretches.iter().flat_map(part).collect::<Vec<F>>()
        };
        let mut high: Vec<F> = (0..lists).flat_map(|l| lattice::product(&vector(l)).high).collect();
        high.resize(RING << log2_ceil(lists), F::ZERO);
        high
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_cut_into_few_parts() {
        let cells = |n: usize| Span::parts(n).iter().map(|s| 1usize << s.log).collect::<Vec<_>>();
        assert_eq!(cells(9), [8, 1]);
        assert_eq!(cells(100), [64, 32, 4]);
        assert_eq!(cells(49), [32, 16, 1]);
        assert_eq!(cells(15), [16]);
        assert_eq!(cells(64), [64]);
        assert_eq!(cells(1), [1]);
        for n in 1..300 {
            let parts = Span::parts(n);
            assert_eq!(parts.iter().map(|p| p.len).sum::<usize>(), n);
            assert!(parts.iter().all(|p| p.len <= 1 << p.log));
            assert!(cells(n).iter().sum::<usize>() <= n + n / 6, "{n}");
        }
    }

    #[test]
    fn every_element_has_a_cell_of_its_own_and_no_part_straddles_columns() {
        let shapes = [alloc::vec![20, 12, 9], alloc::vec![20, 2], alloc::vec![10, 100, 1], alloc::vec![3, 2]];
        let small = |shape: &Vec<usize>| SmallTensor { shape: shape.clone(), bits: CELL_BITS };
        let layout = Layout::new(shapes.iter().map(small).collect());
        let mut next = 0;
        let values: Vec<Vec<i32>> = shapes
            .iter()
            .map(|s| {
                let len = s.iter().product::<usize>() as i32;
                next += len;
                (next - len + 1..=next).collect()
            })
            .collect();
        let cells = layout.cells(&values);
        let mut seen: Vec<F> = cells.iter().copied().filter(|c| *c != F::ZERO).collect();
        seen.sort_unstable();
        assert_eq!(seen, (1..=i64::from(next)).map(int).collect::<Vec<_>>());
        // 3,206 elements: whole axes of powers of two would take 32 * 16 * 16 + 16 * 128 cells and more.
        assert_eq!(layout.blocks(), 4);
        let mut builder = Builder::new(1, None);
        let stretches = layout.columns(&mut builder, "w", 21, None);
        assert_eq!(stretches.iter().map(|s| s.log).collect::<Vec<_>>(), [4, 3, 0]);
        parts_lie_whole_in_columns(&layout, &stretches);
    }

    #[test]
    fn tensors_of_other_bits_have_segments_and_ranges_of_their_own() {
        let small = |bits: u32, shape: &[usize]| SmallTensor { shape: shape.to_vec(), bits };
        let tensors =
            [(12, &[20, 2][..]), (10, &[33, 50, 9]), (8, &[3, 5, 1]), (10, &[64, 70, 1]), (12, &[7, 9, 3])];
        let layout = Layout::new(tensors.map(|(bits, shape)| small(bits, shape)).to_vec());
        let bounds = layout.segments.iter().map(|s| s.bits).collect::<Vec<_>>();
        assert_eq!(bounds, [8, 10, 12]);
        let mut values: Vec<Vec<i32>> = Vec::new();
        for tensor in &layout.tensors {
            values.push(alloc::vec![tensor.tensor.bits as i32; tensor.tensor.shape.iter().product()]);
        }
        let cells = layout.cells(&values);
        for Segment { bits, blocks } in &layout.segments {
            let own = &cells[blocks.start * RING..blocks.end * RING];
            let elements: usize = values.iter().filter(|v| v[0] == *bits as i32).map(Vec::len).sum();
            assert_eq!(own.iter().filter(|c| **c == int(i64::from(*bits))).count(), elements);
            assert_eq!(own.iter().filter(|c| **c != F::ZERO).count(), elements);
        }
        let mut builder = Builder::new(1, None);
        let stretches = layout.columns(&mut builder, "w", 21, None);
        parts_lie_whole_in_columns(&layout, &stretches);
        // One range look-up a column, in the table of its bits.
        for (stretch, lookup) in stretches.iter().zip(&builder.out.system.lookups) {
            let inside = |s: &&Segment| s.blocks.start <= stretch.first && stretch.first < s.blocks.end;
            let bits = layout.segments.iter().find(inside).map_or(CELL_BITS, |s| s.bits);
            assert_eq!(builder.out.system.tables[lookup.table].log, bits as usize);
            assert_eq!(lookup.key.constant, int(1 << (bits - 1)));
        }
        assert_eq!(stretches.len(), builder.out.system.lookups.len());
        let blocks: usize = stretches.iter().map(|s| 1 << s.log).sum();
        assert_eq!(blocks, layout.blocks() + 21);
    }

    fn parts_lie_whole_in_columns(layout: &Layout, stretches: &[Stretch]) {
        for (cut, tensor) in layout.tensors.iter().zip(layout.tensors(stretches)) {
            for (part, (column, at, _)) in cut.parts.iter().zip(&tensor.parts) {
                let stretch = stretches.iter().find(|s| s.column == *column).unwrap();
                let Axis::At { log, index } = at else { panic!("a part is picked by its index") };
                assert_eq!(log + part.log(), stretch.log + RING_LOG);
                assert_eq!(stretch.first * RING + (index << part.log()), part.offset);
                assert!(index >> log == 0);
            }
        }
    }
}
