//! Sliding windows.

use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use crate::limits;

/// One axis of a sliding window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowAxis {
    /// Input size.
    pub input: usize,
    /// Output size.
    pub output: usize,
    /// Window size.
    pub kernel: usize,
    /// Step.
    pub stride: usize,
    /// Elements of padding before the first.
    pub before: usize,
}

impl WindowAxis {
    /// The axis for the given sizes and padding, or why there is none.
    pub fn new(
        input: usize,
        kernel: usize,
        stride: usize,
        before: usize,
        after: usize,
    ) -> Result<Self, String> {
        let padded = input
            .checked_add(before)
            .and_then(|n| n.checked_add(after))
            .filter(|n| *n <= limits::MAX_ELEMENTS);
        match padded {
            Some(n) if kernel >= 1 && stride >= 1 && n >= kernel && before < kernel && after < kernel => {
                let output = (n - kernel) / stride + 1;
                if output as u64 * kernel as u64 > limits::MAX_WINDOW_ENTRIES {
                    return Err(alloc::format!("a window of {kernel} at {output} places is too large"));
                }
                Ok(Self { input, output, kernel, stride, before })
            }
            _ => Err(alloc::format!(
                "a window of {kernel} with stride {stride} and padding {before}+{after} does not fit an axis of {input}"
            )),
        }
    }

    /// The input index that window position `k` of output `o` reads, if it is not padding.
    pub fn source(&self, o: usize, k: usize) -> Option<usize> {
        (o * self.stride + k).checked_sub(self.before).filter(|i| *i < self.input)
    }
}

/// Every `(output, window position, input)` that reads a real element, each a row-major index of its plane.
pub fn plane_reads(axes: &[WindowAxis; 2]) -> Vec<[usize; 3]> {
    let [h, w] = axes;
    let mut reads = Vec::new();
    for (oy, ky) in (0..h.output).flat_map(|o| (0..h.kernel).map(move |k| (o, k))) {
        let Some(iy) = h.source(oy, ky) else { continue };
        for (ox, kx) in (0..w.output).flat_map(|o| (0..w.kernel).map(move |k| (o, k))) {
            let Some(ix) = w.source(ox, kx) else { continue };
            reads.push([oy * w.output + ox, ky * w.kernel + kx, iy * w.input + ix]);
        }
    }
    reads
}

/// Attributes of a two-dimensional sliding window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Height and width.
    pub kernel: [usize; 2],
    /// Steps.
    pub stride: [usize; 2],
    /// Padding: top, left, bottom, right, each smaller than the kernel.
    pub pad: [usize; 4],
}

impl Window {
    /// Elements of the kernel.
    pub fn places(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// About the work of the wires onto the plane of an input: an entry takes the room of four cells, and there are up to three copies of it,
    /// one a piece or use.
    pub fn work(&self, h: usize, w: usize) -> u64 {
        let entries =
            |axes: [WindowAxis; 2]| axes.iter().map(|a| a.output as u64 * a.kernel as u64).product::<u64>();
        12 * self.axes(h, w).map_or(0, entries)
    }

    /// The two axes over an input of the given height and width.
    pub fn axes(&self, h: usize, w: usize) -> Result<[WindowAxis; 2], String> {
        if (self.kernel[0] as u64).saturating_mul(self.kernel[1] as u64) > limits::MAX_WINDOW_ENTRIES {
            return Err(alloc::format!("a window of {} by {} is too large", self.kernel[0], self.kernel[1]));
        }
        let axes = [
            WindowAxis::new(h, self.kernel[0], self.stride[0], self.pad[0], self.pad[2])?,
            WindowAxis::new(w, self.kernel[1], self.stride[1], self.pad[1], self.pad[3])?,
        ];
        let reads: u64 = axes.iter().map(|a| a.output as u64 * a.kernel as u64).product();
        if reads > limits::MAX_WINDOW_ENTRIES {
            return Err(alloc::format!("a window of {:?} over {h} by {w} is too large", self.kernel));
        }
        Ok(axes)
    }
}
