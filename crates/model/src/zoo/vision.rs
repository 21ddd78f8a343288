//! Convolutional networks of the zoo. Multiply-adds at full size are those of the published networks.

use proofmesh_graph::op::Window;

use super::Size;
use super::net::{Id, Layer, Net};

/// MLPerf Tiny anomaly detection: 640-128-128-128-128-8-128-128-128-128-640, 0.26 million multiply-adds. The last layer has no
/// normalisation.
pub(super) fn autoencoder(net: &mut Net, _: Size) -> Id {
    let mut x = 0;
    for width in [128, 128, 128, 128, 8, 128, 128, 128, 128] {
        let y = net.dense(x, width);
        let y = net.normalise(y);
        x = net.relu(y);
    }
    net.dense(x, 640)
}

/// MLPerf Tiny keyword spotting: a convolution and four depthwise-separable blocks of 64 channels, 2.7 million multiply-adds.
pub(super) fn ds_cnn(net: &mut Net, _: Size) -> Id {
    let window = Window { kernel: [10, 4], stride: [2, 2], pad: [4, 1, 5, 1] };
    let mut x = net.block(0, Layer { out: 64, window, groups: 1 });
    for _ in 0..4 {
        x = net.block(x, Layer::depthwise(64, 3, 1));
        x = net.block(x, Layer::square(64, 1, 1));
    }
    head(net, x, 12)
}

/// MobileNetV1 with a width of 0.25 (Howard et al. 2017), MLPerf Tiny visual wake words: 7.5 million multiply-adds.
pub(super) fn mobilenet(net: &mut Net, _: Size) -> Id {
    let mut x = net.block(0, Layer::square(8, 3, 2));
    let mut channels = 8;
    let blocks = [
        (16, 1),
        (32, 2),
        (32, 1),
        (64, 2),
        (64, 1),
        (128, 2),
        (128, 1),
        (128, 1),
        (128, 1),
        (128, 1),
        (128, 1),
        (256, 2),
        (256, 1),
    ];
    for (out, stride) in blocks {
        x = net.block(x, Layer::depthwise(channels, 3, stride));
        x = net.block(x, Layer::square(out, 1, 1));
        channels = out;
    }
    head(net, x, 2)
}

/// A residual block of two 3 by 3 convolutions (He et al. 2016), with a 1 by 1 convolution beside them where sizes change.
fn residual(net: &mut Net, x: Id, out: usize, stride: usize) -> Id {
    let y = net.block(x, Layer::square(out, 3, stride));
    let y = net.conv(y, Layer::square(out, 3, 1));
    let y = net.normalise(y);
    let beside = if stride == 1 && net.shape(x).c == out {
        x
    } else {
        let beside = net.conv(x, Layer::square(out, 1, stride));
        net.normalise(beside)
    };
    let sum = net.add(y, beside);
    net.relu(sum)
}

/// MLPerf Tiny image classification: ResNet with three blocks, 12.5 million multiply-adds.
pub(super) fn resnet8(net: &mut Net, _: Size) -> Id {
    let mut x = net.block(0, Layer::square(16, 3, 1));
    for (out, stride) in [(16, 1), (32, 2), (64, 2)] {
        x = residual(net, x, out, stride);
    }
    head(net, x, 10)
}

/// LeNet-5 (LeCun et al. 1998) on 32 by 32 with its average pools, and Relu: 0.42 million multiply-adds.
pub(super) fn lenet5(net: &mut Net, _: Size) -> Id {
    let window = Window { kernel: [5, 5], stride: [1, 1], pad: [0; 4] };
    let mut x = 0;
    for out in [6, 16] {
        x = net.conv(x, Layer { out, window, groups: 1 });
        x = net.relu(x);
        x = net.pool(x, 2, false);
    }
    x = net.flatten(x);
    for width in [120, 84] {
        x = net.dense(x, width);
        x = net.relu(x);
    }
    net.classify(x, 10)
}

/// VGG-16 (Simonyan, Zisserman 2015) on 32 by 32 with normalisation: 314 million multiply-adds.
pub(super) fn vgg16(net: &mut Net, size: Size) -> Id {
    let mut x = 0;
    for (width, layers) in [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)] {
        for _ in 0..layers {
            x = net.block(x, Layer::square(size.width(width), 3, 1));
        }
        x = net.pool(x, 2, true);
    }
    x = net.flatten(x);
    for _ in 0..2 {
        x = net.dense(x, size.width(512));
        x = net.relu(x);
    }
    net.classify(x, 10)
}

/// ResNet-18 (He et al. 2016) on 32 by 32, first kernel 3 by 3 and no first pool: 555 million multiply-adds.
pub(super) fn resnet18(net: &mut Net, size: Size) -> Id {
    let mut x = net.block(0, Layer::square(size.width(64), 3, 1));
    for (width, stride) in [(64, 1), (128, 2), (256, 2), (512, 2)] {
        x = residual(net, x, size.width(width), stride);
        x = residual(net, x, size.width(width), 1);
    }
    head(net, x, 10)
}

/// Mean over places, then classes.
fn head(net: &mut Net, x: Id, classes: usize) -> Id {
    let x = net.global_average(x);
    let x = net.flatten(x);
    net.classify(x, classes)
}
