//! Activations as views: ONNX sizes and, for each axis, how far apart its elements lie in the value. Transpositions and most reshapes
//! change the view and compute nothing; an operator that needs elements in a certain order asks for it, and a Gather is made only if
//! they lie otherwise. A view names every element of its value once.

use std::rc::Rc;

use proofmesh_graph::tensor::Shape;

use super::{Parser, Value};
use crate::float::{FloatOp, ValueId};
use crate::limits;
use crate::onnx::OnnxNode;

/// An activation: a value of the float graph under ONNX sizes.
#[derive(Clone, Debug)]
pub(crate) struct Activation {
    pub id: ValueId,
    /// Sizes as in the ONNX graph, a batch being 1.
    pub dims: Vec<usize>,
    /// Distance of neighbours along each axis in the row-major value.
    pub strides: Vec<usize>,
    /// Elements, row-major by `dims`, that stand for minus infinity where `false`: only a Softmax may read such a view.
    pub mask: Option<Rc<Vec<bool>>>,
}

/// Strides of row-major sizes.
pub(super) fn row_major(dims: &[usize]) -> Vec<usize> {
    let mut strides = vec![1usize; dims.len()];
    for i in (1..dims.len()).rev() {
        strides[i - 1] = strides[i] * dims[i];
    }
    strides
}

/// For every element of the sizes, row-major, the sum of its coordinates times `strides`.
pub(super) fn positions(dims: &[usize], strides: &[usize]) -> Vec<u32> {
    let mut all = vec![0u32];
    for (size, stride) in dims.iter().zip(strides) {
        all = all.iter().flat_map(|base| (0..*size).map(move |x| base + (x * stride) as u32)).collect();
    }
    all
}

/// Strides of the same elements under new sizes, if there are any.
fn reshaped(dims: &[usize], strides: &[usize], to: &[usize]) -> Option<Vec<usize>> {
    let old: Vec<(usize, usize)> =
        dims.iter().copied().zip(strides.iter().copied()).filter(|(d, _)| *d != 1).collect();
    let mut out = vec![1; to.len()];
    let (mut i, mut n) = (0, 0);
    while n < to.len() {
        if to[n] == 1 {
            n += 1;
            continue;
        }
        let (first_old, first_new) = (i, n);
        let (mut from, mut into) = (old.get(i)?.0, to[n]);
        (i, n) = (i + 1, n + 1);
        while from != into {
            if from < into {
                from *= old.get(i)?.0;
                i += 1;
            } else {
                into *= to.get(n)?;
                n += 1;
            }
        }
        let joined = old[first_old..i].windows(2).all(|w| w[0].1 == w[1].0 * w[1].1);
        if !joined {
            return None;
        }
        let mut stride = old[i - 1].1;
        for k in (first_new..n).rev() {
            out[k] = stride;
            stride *= to[k];
        }
    }
    Some(out)
}

impl Activation {
    /// A value in row-major order.
    pub fn new(id: ValueId, dims: Vec<usize>) -> Self {
        let strides = row_major(&dims);
        Self { id, dims, strides, mask: None }
    }

    pub fn len(&self) -> usize {
        self.dims.iter().product()
    }

    /// Whether elements lie in row-major order.
    pub fn is_row_major(&self) -> bool {
        let expected = row_major(&self.dims);
        (0..self.dims.len()).all(|i| self.dims[i] == 1 || self.strides[i] == expected[i])
    }

    /// Where each element, row-major by its sizes, lies in the value.
    pub fn positions(&self) -> Vec<u32> {
        positions(&self.dims, &self.strides)
    }

    /// Axes in another order: axis `i` of the result is axis `perm[i]`.
    pub fn permuted(&self, perm: &[usize]) -> Self {
        let pick = |list: &[usize]| perm.iter().map(|i| list[*i]).collect::<Vec<_>>();
        let (dims, strides) = (pick(&self.dims), pick(&self.strides));
        let mask = self.mask.as_ref().map(|mask| {
            let order = positions(&dims, &pick(&row_major(&self.dims)));
            Rc::new(order.into_iter().map(|i| mask[i as usize]).collect())
        });
        Self { id: self.id, dims, strides, mask }
    }

    /// The given axes moved to the end, in that order.
    pub fn with_last(&self, axes: &[usize]) -> Self {
        let mut perm: Vec<usize> = (0..self.dims.len()).filter(|i| !axes.contains(i)).collect();
        perm.extend(axes);
        self.permuted(&perm)
    }
}

/// The `[C, H, W]` shape of ONNX sizes: `[1, C]`, `[1, C, W]`, `[1, C, H, W]`, a batch of 1 being left out; more axes lie flat.
pub(crate) fn shape_of(dims: &[usize]) -> Result<Shape, String> {
    let inner = if dims.len() >= 2 && dims[0] == 1 { &dims[1..] } else { dims };
    let shape = match inner {
        [] => Shape::new(1, 1, 1),
        [c] => Shape::new(*c, 1, 1),
        [c, w] => Shape::new(*c, 1, *w),
        [c, h, w] => Shape::new(*c, *h, *w),
        all => Shape::new(all.iter().fold(1, |n: usize, d| n.saturating_mul(*d)), 1, 1),
    };
    if shape.is_empty() || shape.len() > limits::MAX_ACTIVATION_ELEMENTS {
        return Err(format!(
            "sizes {dims:?} are empty or beyond {} elements",
            limits::MAX_ACTIVATION_ELEMENTS
        ));
    }
    Ok(shape)
}

/// Sizes that two operands are broadcast to.
pub(super) fn broadcast(a: &[usize], b: &[usize]) -> Result<Vec<usize>, String> {
    let rank = a.len().max(b.len());
    let at = |d: &[usize], i: usize| (i + d.len()).checked_sub(rank).map_or(1, |i| d[i]);
    let size = |i: usize| match (at(a, i), at(b, i)) {
        (x, y) if x == y || y == 1 => Ok(x),
        (1, y) => Ok(y),
        (x, y) => Err(format!("{a:?} and {b:?} do not broadcast: an axis has {x} and {y}")),
    };
    (0..rank).map(size).collect()
}

/// Sizes and strides of an operand under the sizes that it is broadcast to: stride 0 along axes that it repeats.
pub(super) fn spread_out(dims: &[usize], strides: &[usize], to: &[usize]) -> Vec<usize> {
    let lead = to.len() - dims.len();
    let stride = |i: usize| if i < lead || dims[i - lead] == 1 { 0 } else { strides[i - lead] };
    (0..to.len()).map(stride).collect()
}

impl Parser<'_> {
    /// The `[C, H, W]` shape in which the value lies.
    pub fn shape(&self, a: &Activation) -> Shape {
        self.shapes[a.id]
    }

    /// A view of an operand, in whatever order its elements lie.
    pub fn view(&self, node: &OnnxNode, i: usize) -> Result<Activation, String> {
        match self.value(node, i)? {
            Value::Activation(a) if a.mask.is_some() => {
                Err("reads masked scores (minus infinity): only a Softmax may read them".into())
            }
            Value::Activation(a) => Ok(a),
            Value::Constant(_) => Err(format!("input {i} is a constant: fold constants before the export")),
        }
    }

    /// An operand in row-major order, its value shaped by [`shape_of`].
    pub fn activation(&mut self, node: &OnnxNode, i: usize) -> Result<Activation, String> {
        let a = self.view(node, i)?;
        self.canonical(node, a)
    }

    /// The same elements in row-major order, the value shaped by [`shape_of`].
    pub fn canonical(&mut self, node: &OnnxNode, a: Activation) -> Result<Activation, String> {
        let shape = shape_of(&a.dims)?;
        let id = if a.is_row_major() {
            if self.shapes[a.id] == shape { a.id } else { self.arrange(node, a.id, shape, None)? }
        } else {
            self.arrange(node, a.id, shape, Some(a.positions()))?
        };
        Ok(Activation::new(id, a.dims))
    }

    /// A value of the given shape whose elements are those at `index` (in order if `None`) of value `id`: itself, or a Gather.
    pub fn arrange(
        &mut self,
        node: &OnnxNode,
        id: ValueId,
        shape: Shape,
        index: Option<Vec<u32>>,
    ) -> Result<ValueId, String> {
        let index = index.filter(|list| {
            list.len() != self.shapes[id].len() || list.iter().enumerate().any(|(i, p)| i != *p as usize)
        });
        if index.is_none() && self.shapes[id] == shape {
            return Ok(id);
        }
        let key = (id, shape.axes(), index);
        if let Some(made) = self.arranged.get(&key) {
            return Ok(*made);
        }
        let op = match &key.2 {
            None => FloatOp::Reshape(shape),
            Some(index) => FloatOp::Gather { shape, index: index.clone() },
        };
        let made = self.append(node, op, vec![id])?;
        self.arranged.insert(key, made);
        Ok(made)
    }

    /// The same elements under new sizes.
    pub fn resized(&mut self, node: &OnnxNode, a: Activation, dims: Vec<usize>) -> Result<Value, String> {
        if a.len() != dims.iter().product::<usize>() {
            return Err(format!("{:?} cannot become {dims:?}", a.dims));
        }
        shape_of(&dims)?;
        let mask = a.mask.clone();
        let (id, strides) = match reshaped(&a.dims, &a.strides, &dims) {
            Some(strides) => (a.id, strides),
            None => {
                let id = self.arrange(node, a.id, shape_of(&dims)?, Some(a.positions()))?;
                (id, row_major(&dims))
            }
        };
        Ok(Value::Activation(Activation { id, dims, strides, mask }))
    }

    /// The value of `a` as `[channels, places, 1]`, or with any height and width if it lies so already: the last axis of `a` becomes
    /// the channels. Gives the id and the strides that `a` has there.
    pub fn channels_last(
        &mut self,
        node: &OnnxNode,
        a: &Activation,
    ) -> Result<(ValueId, Vec<usize>), String> {
        let (last, front) = (a.dims.len() - 1, a.len() / a.dims[a.dims.len() - 1].max(1));
        let shape = self.shapes[a.id];
        if shape.c == a.dims[last] && (a.dims[last] == 1 || a.strides[last] == shape.h * shape.w) {
            return Ok((a.id, a.strides.clone()));
        }
        let shape = Shape::new(a.dims[last], front, 1);
        let mut moved = vec![last];
        moved.extend(0..last);
        let index = a.permuted(&moved).positions();
        let id = self.arrange(node, a.id, shape, Some(index))?;
        let mut strides = row_major(&a.dims[..last]);
        strides.push(front);
        Ok((id, strides))
    }

    /// Two operands in one order, each broadcast to common sizes. Gives both ids, the sizes and strides of the result. With `native`
    /// an operand may keep axes of 1 where the operator repeats them itself.
    pub fn together(
        &mut self,
        node: &OnnxNode,
        a: &Activation,
        b: &Activation,
        native: bool,
    ) -> Result<Together, String> {
        let dims = broadcast(&a.dims, &b.dims)?;
        let whole = |v: &Activation| v.len() == dims.iter().product::<usize>();
        // The operand with every element leads; if both repeat, the first is spread out.
        let (id, strides) = match (whole(a), whole(b)) {
            (true, _) => (a.id, spread_out(&a.dims, &a.strides, &dims)),
            (_, true) => (b.id, spread_out(&b.dims, &b.strides, &dims)),
            _ => {
                let index = positions(&dims, &spread_out(&a.dims, &a.strides, &dims));
                (self.arrange(node, a.id, shape_of(&dims)?, Some(index))?, row_major(&dims))
            }
        };
        let lead = self.shapes[id];
        let at = positions(&dims, &strides);
        let mut ids = [id; 2];
        for (own, v) in ids.iter_mut().zip([a, b]) {
            if v.id == id && whole(v) && spread_out(&v.dims, &v.strides, &dims) == strides {
                continue;
            }
            let from = positions(&dims, &spread_out(&v.dims, &v.strides, &dims));
            let mut index = vec![0u32; lead.len()];
            at.iter().zip(&from).for_each(|(to, from)| index[*to as usize] = *from);
            *own = if native && repeats_itself(lead, self.shapes[v.id], &index) {
                v.id
            } else {
                self.arrange(node, v.id, lead, Some(index))?
            };
        }
        Ok((ids, dims, strides))
    }
}

/// Two values in one order, its sizes and strides.
type Together = ([ValueId; 2], Vec<usize>, Vec<usize>);

/// Whether `index` is what broadcasting `[C, H, W]` axes of 1 gives.
fn repeats_itself(to: Shape, from: Shape, index: &[u32]) -> bool {
    let fits = |(f, t): (usize, usize)| f == t || f == 1;
    if !from.axes().into_iter().zip(to.axes()).all(fits) {
        return false;
    }
    let own = row_major(&from.axes());
    positions(&to.axes(), &spread_out(&from.axes(), &own, &to.axes())) == index
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reshapes_of_transposed_views_are_views_where_axes_join() {
        // [2, 3, 4] transposed to [3, 4, 2]: the first two axes still join.
        let a = Activation::new(0, vec![2, 3, 4]).permuted(&[1, 2, 0]);
        assert_eq!(a.strides, [4, 1, 12]);
        assert_eq!(reshaped(&a.dims, &a.strides, &[12, 2]), Some(vec![1, 12]));
        assert_eq!(reshaped(&a.dims, &a.strides, &[3, 8]), None);
        assert_eq!(reshaped(&a.dims, &a.strides, &[1, 3, 2, 2, 1, 2]), Some(vec![1, 4, 2, 1, 1, 12]));
        assert_eq!(a.positions()[..4], [0, 12, 1, 13]);
    }

    #[test]
    fn broadcasting_finds_what_an_operator_repeats_by_itself() {
        assert_eq!(broadcast(&[4, 1, 3], &[5, 1]), Ok(vec![4, 5, 3]));
        assert!(broadcast(&[4, 2], &[3, 2]).is_err());
        let (to, from) = (Shape::new(2, 3, 4), Shape::new(2, 3, 1));
        let index: Vec<u32> = (0..24).map(|i| i / 4).collect();
        assert!(repeats_itself(to, from, &index));
        assert!(!repeats_itself(to, Shape::new(3, 2, 1), &index));
    }
}
