//! Poseidon2 over BN254's scalar field (Grassi, Khovratovich, Schofnegger, eprint 2023/323): width 3, S-box `x^5`, 8 full and 56 partial
//! rounds. The constants are the public instance's, from the Grain generator of the Poseidon paper (`tests` run it again).

use p3_bn254::Bn254;
use p3_field::PrimeCharacteristicRing;

/// Elements of the state.
pub const WIDTH: usize = 3;

/// The state after one permutation.
pub fn permute(mut state: [Bn254; WIDTH]) -> [Bn254; WIDTH] {
    full_layer(&mut state);
    INITIAL.iter().for_each(|constants| full_round(&mut state, constants));
    for constant in &PARTIAL {
        state[0] = power_of_five(state[0] + *constant);
        // [2 1 1; 1 2 1; 1 1 3].
        let sum = state[0] + state[1] + state[2];
        state = [state[0] + sum, state[1] + sum, state[2].double() + sum];
    }
    TERMINAL.iter().for_each(|constants| full_round(&mut state, constants));
    state
}

fn full_round(state: &mut [Bn254; WIDTH], constants: &[Bn254; WIDTH]) {
    state.iter_mut().zip(constants).for_each(|(s, c)| *s = power_of_five(*s + *c));
    full_layer(state);
}

/// [2 1 1; 1 2 1; 1 1 2].
fn full_layer(state: &mut [Bn254; WIDTH]) {
    let sum = state[0] + state[1] + state[2];
    state.iter_mut().for_each(|s| *s += sum);
}

fn power_of_five(x: Bn254) -> Bn254 {
    x.square().square() * x
}

/// Constants of the first four full rounds.
pub const INITIAL: [[Bn254; WIDTH]; 4] = [
    Bn254::new_array([
        [0x59a0_9a1a_9705_2816, 0x7f8f_cde4_8bb4_c37a, 0x8bdd_d3a9_3f78_04ef, 0x1d06_6a25_5517_b7fd],
        [0xb723_8547_d32c_1610, 0xb7c6_fef3_1367_b68e, 0xac3f_089c_ebcc_6120, 0x29da_efb5_5f6f_2dc6],
        [0x9e8b_7ad7_b0b4_e1d1, 0x2572_d76f_08ec_5c4f, 0x1ecb_d88a_d959_d701, 0x1f2c_b162_4a78_ee00],
    ]),
    Bn254::new_array([
        [0xdb06_72de_d84f_31e5, 0xb11f_092a_53bb_c6e1, 0xbd77_c0ed_3d14_aa27, 0x0aad_2e79_f157_35f2],
        [0x091c_cf15_95b4_3f28, 0x3702_8a98_f1de_ce66, 0xd6f6_61dd_4094_375f, 0x2252_624f_8617_738c],
        [0xd49f_4f2c_9018_d735, 0x91c2_0626_524b_2b87, 0x5a65_a84a_291d_a1ff, 0x1a24_913a_928b_3848],
    ]),
    Bn254::new_array([
        [0x4fd6_dae1_508f_c47a, 0x0a41_515d_dff4_97b1, 0x7bfc_427b_5f11_ebb1, 0x22fc_468f_1759_b74d],
        [0xefd6_5515_617f_6e4d, 0xe619_56ff_0b41_21d5, 0x9cd0_26e9_c9ca_107a, 0x1059_ca78_7f1f_89ed],
        [0xa45c_bbfa_e8b9_81ce, 0x2123_011f_0bf6_f155, 0xf61f_3536_d877_de98, 0x02be_9473_3584_61d8],
    ]),
    Bn254::new_array([
        [0xa1ff_3a44_1a50_84a4, 0xaba9_b669_ac5b_8736, 0x2778_a749_c82e_d623, 0x0ec9_6c8e_3296_2d46],
        [0x48fb_2e4d_814d_f57e, 0x5a47_a7cd_b8c9_9f96, 0x5442_d955_3c45_fa3f, 0x292f_906e_0736_7740],
        [0x0c63_f0b2_ffe5_657e, 0xcc61_1160_a394_ea46, 0x26c1_1b9a_0f5e_39a5, 0x2749_8244_4157_b867],
    ]),
];

/// Constants of the partial rounds.
pub const PARTIAL: [Bn254; 56] = Bn254::new_array([
    [0x4995_73f2_3597_d4b5, 0xcedd_192f_4730_8731, 0xb63e_1855_bff0_15b8, 0x1a1d_063e_54b1_e764],
    [0xb91b_002c_5b25_7c37, 0x0823_5dcc_c1aa_3793, 0x839d_1095_6259_0637, 0x26ab_c66f_3fdf_8e68],
    [0x0b3c_2b12_ff4d_7be8, 0x0754_427a_abca_92a7, 0x81a5_78cf_ed5a_ed37, 0x0c7c_64a9_d887_3853],
    [0xedd3_8383_1354_b495, 0xba2e_bac3_0dc3_86b0, 0x9e17_f0b6_d08b_2d1e, 0x1cf5_9987_69e9_fab7],
    [0x7aba_0b97_e66b_0109, 0x1982_8764_a966_9bc1, 0x564c_a604_61e9_e08b, 0x0f5e_3a85_66be_31b7],
    [0x42bf_3d7a_531c_976e, 0xf359_a53a_180b_7d4b, 0x95e6_0e4d_b079_4a01, 0x18df_6a9d_19ea_90d8],
    [0x4e32_4055_fa31_23dc, 0xd0ea_1d3a_3b9d_25ef, 0x6e4b_782c_3c6e_601a, 0x04f7_bf2c_5c05_38ac],
    [0xe55d_5462_8b89_ebe6, 0xe770_c058_4aa2_328c, 0x3c40_0585_2374_8531, 0x29c7_6ce2_2255_206e],
    [0x00e0_e945_dbc5_ff15, 0x65b1_b8e9_c610_8dbe, 0xc053_659a_b434_7f5d, 0x198d_425a_45b7_8e85],
    [0x49d3_a9a9_0c3f_df74, 0xa7ff_7f68_78b3_c49d, 0x6af3_cc79_c598_a1da, 0x25ee_27ab_6296_cd5e],
    [0xc0f8_8687_a96d_1381, 0x0584_5d7d_0c55_b1b2, 0x2456_1001_c0b6_eb15, 0x138e_a8e0_af41_a1e0],
    [0x4013_370a_01d9_5687, 0x4285_1b5b_9811_f2ca, 0xf6e7_c2cb_a2ee_fd0e, 0x3061_97fb_3fab_671e],
    [0x8641_9eaf_00e8_f620, 0x21db_7565_e5b4_2504, 0x2b66_f0b4_894d_4f1a, 0x1a0c_7d52_dc32_a443],
    [0xaa52_997d_a2c5_4a9f, 0xebfb_e5f5_5163_cd6c, 0x3ff8_6a8e_5c8b_dfcc, 0x2b46_b418_de80_915f],
    [0xfb46_e312_b582_9f64, 0x613a_1af5_db48_e05b, 0x01f8_b777_b967_3af9, 0x12d3_e0dc_0085_8737],
    [0xba33_8a5c_b19b_3a1f, 0xfb2b_f768_230f_648d, 0x70f5_002e_d21d_089f, 0x2633_90cf_74dc_3a88],
    [0x7d54_3db5_2b00_3dcd, 0xf8ab_b5af_40f9_6f1d, 0x0ac8_84b4_ca60_7ad0, 0x0a14_f33a_5fe6_68a6],
    [0xd847_df82_9bc6_83b9, 0x27be_3a4f_0117_1a1d, 0x1a5e_8650_9d68_b2da, 0x28ea_d9c5_8651_3eab],
    [0xea16_cda6_e1a7_416c, 0x888f_0ea1_abe7_1cff, 0x0972_031f_1bdb_2ac9, 0x1c6a_b1c3_28c3_c643],
    [0x3234_6015_c5b4_2c94, 0x4f6d_ecd6_08cb_98a9, 0x2b25_0023_9f7f_8de0, 0x1fc7_e71b_c0b8_1979],
    [0xe6dd_85b9_3a0d_daa8, 0xc0c1_e197_c952_650e, 0xe380_e0d8_6029_8f17, 0x03e1_07eb_3a42_b2ec],
    [0x4545_05f6_941d_78cd, 0x4645_2ca5_7c08_697f, 0x69c0_d52b_f88b_772c, 0x2d35_4a25_1f38_1a46],
    [0xd14b_4606_826f_794b, 0x5225_51d6_1606_eda3, 0xf687_ef14_bc56_6d1c, 0x094a_f88a_b05d_94ba],
    [0xd52b_2d24_9d13_96f7, 0xe1ab_5b6f_2e31_95a9, 0x19bc_aeab_f02f_8ca5, 0x1970_5b78_3bf3_d2dc],
    [0x60ce_f685_2271_200e, 0x8723_b16b_7d74_0a3e, 0x1fcc_33fe_e54f_c5b2, 0x09bf_4acc_3a8b_ce3f],
    [0x543a_073f_3f3b_5e4e, 0x3413_732f_301f_7058, 0x50f8_3c0c_8fab_6284, 0x1803_f820_0db6_013c],
    [0xd41f_7fef_2faf_3e5c, 0xbf6f_b02d_4454_c0ad, 0x3059_5b16_0b8d_1f38, 0x0f80_afb5_0462_44de],
    [0x7dc3_f982_1952_9d78, 0xabcf_cf64_3f4a_6fea, 0xd77f_0088_c1cf_c964, 0x126e_e1f8_504f_15c3],
    [0xef86_f991_d7d0_a591, 0x0ffb_4ee6_3175_ddf8, 0x69bf_b3d9_1955_2ca1, 0x23c2_03d1_0cfc_c60f],
    [0x7c5a_339f_7744_fb94, 0x3dec_1ee4_eec2_cf74, 0xec0d_0970_5fa3_a630, 0x2a2a_e15d_8b14_3709],
    [0xb6b5_d890_8197_0b2b, 0xc3d3_b300_6cb4_61bb, 0x47e5_c381_ab63_43ec, 0x07b6_0dee_586e_d6ef],
    [0x132c_fe58_3c93_11bd, 0x8a98_a320_baa7_d152, 0x885d_95c4_94c1_ae3d, 0x2731_6b55_9be3_edfd],
    [0x2f5f_9af0_c034_2e76, 0xef83_4cc2_a743_ed66, 0xd893_7cb2_d3f8_4311, 0x1d5c_49ba_157c_32b8],
    [0x7c24_bd59_4096_8488, 0x09c0_1bf6_9799_38f6, 0x3327_74e0_b850_b5ec, 0x2f8b_124e_7816_3b2f],
    [0x665f_7526_0113_b3d5, 0x1d4c_ba65_54e5_1d84, 0xdc5b_7aa0_9a9c_e21b, 0x1e68_43a5_4574_16b6],
    [0x1f5b_c79f_2164_1d4b, 0xa68d_af9a_c6a1_89ab, 0x5fca_25c9_929c_8ad9, 0x11cd_f00a_35f6_50c5],
    [0xe82b_5b9b_7eb5_60bc, 0x608b_2815_c773_55b7, 0x2ef3_6e58_8158_d6d4, 0x2163_2de3_d3bb_c5e4],
    [0x49d7_b5c5_1c18_498a, 0x255a_e48e_f2a3_29e4, 0x97b2_7025_fbd2_45e0, 0x0de6_2575_8452_efbd],
    [0x9b09_546b_a083_8098, 0xdd9e_1e1c_6f0f_b6b0, 0xe2fe_bfd4_d976_cc01, 0x2ad2_53c0_53e7_5213],
    [0xd357_02e3_8d60_b077, 0x3dd4_9cdd_13c8_13b7, 0x6ec7_681e_c39b_3be9, 0x1d6b_169e_d638_72dc],
    [0xc3a5_4e70_6cfe_f7fe, 0x0be3_ea70_a24d_5568, 0xb912_7c49_41b6_7fed, 0x1660_b740_a143_664b],
    [0x96a2_9f10_376c_cbfe, 0xceac_dddb_12cf_8790, 0x114f_4ca2_deef_76e0, 0x0065_a92d_1de8_1f34],
    [0xcf30_d50a_5871_040d, 0x353e_be2c_cbc4_869b, 0x7367_f823_da7d_672c, 0x1f11_f065_2025_3598],
    [0x1108_52d1_7df0_693e, 0x3bd1_d1a3_9b67_59ba, 0xb437_ce7b_14a2_c3dd, 0x2659_6f5c_5dd5_a5d1],
    [0x6743_db15_af91_860f, 0x8539_c416_3a5f_1e70, 0x7bf3_056e_fcf8_b6d3, 0x16f4_9bc7_27e4_5a2f],
    [0xe1a4_e743_8dd3_9e5f, 0x568f_eaf7_ea8b_3dc5, 0x9954_175e_fb33_1bf4, 0x1abe_1deb_45b3_e311],
    [0x020d_34ae_a15f_ba59, 0x9f5d_b92a_aec5_f102, 0xd899_3a74_ca54_8b77, 0x0e42_6cca_b669_84d1],
    [0xa841_9243_03f6_a6c6, 0x0071_684b_902d_534f, 0x4933_bd19_4205_3f1f, 0x0e7c_30c2_e2e8_957f],
    [0x4c76_e1f3_1d3f_c69d, 0x6166_ded6_e352_8ead, 0x1622_708f_c7ed_ff1d, 0x0812_a017_ca92_cf0a],
    [0x2e27_6b47_cf01_0d54, 0x68af_e502_6edd_7a9c, 0xbba9_49d1_db96_0400, 0x21a5_ade3_df2b_c1b5],
    [0x72b1_a523_3f87_49ce, 0xbd10_1945_f50e_5afe, 0xad71_1bf1_a058_c6c6, 0x01f3_0354_6381_6c84],
    [0x4dca_a82b_0f0c_1c8b, 0x8bf2_f939_8dbd_0fdf, 0x028c_2aaf_c2d0_6a5e, 0x0b11_5572_f038_c0e2],
    [0x3460_613b_6ef5_9e2f, 0x27fc_24db_42bc_910a, 0xf0ef_2555_43f5_0d2e, 0x1c38_ec0b_99b6_2fd4],
    [0xb1d0_b254_d880_c53e, 0x2f5d_3146_06a2_97d4, 0x425c_3ff1_f4ac_737b, 0x1c89_c6d9_6662_72e8],
    [0x8b71_e231_1bb8_8f8f, 0x21ad_4880_097a_5eb3, 0xf6d4_4008_ae4c_042a, 0x0332_6e64_3580_356b],
    [0x5bdd_e229_9910_a4c9, 0x50f2_7a64_34b5_dceb, 0x67ce_e9ea_0e51_e3ad, 0x2680_76b0_054f_b73f],
]);

/// Constants of the last four full rounds.
pub const TERMINAL: [[Bn254; WIDTH]; 4] = [
    Bn254::new_array([
        [0x78d0_4aa6_f874_7ad0, 0x5da1_8ea9_d8e4_f101, 0x626e_d934_91bd_a32e, 0x1acd_63c6_7fbc_9ab1],
        [0xca8c_86cd_2a28_b5a5, 0x1bf9_3375_e232_3ec3, 0xc4e3_144b_e58e_f690, 0x19f8_a5d6_70e8_ab66],
        [0xe1cf_bb5f_7b9b_6893, 0x0681_93ea_51f6_c92a, 0x6efa_40d2_df10_a011, 0x1c0d_c443_519a_d7a8],
    ]),
    Bn254::new_array([
        [0x180e_4c32_2498_7d3d, 0xfbea_b33c_b4f6_a2c4, 0x50fe_7190_e421_dc19, 0x14b3_9e7a_a406_8dbe],
        [0xafb1_e35e_28b0_795e, 0xb820_fc51_9f01_f021, 0x8f28_c63e_a6c5_61b7, 0x1d44_9b71_bd82_6ec5],
        [0x7652_4dc0_a9e9_87fc, 0x89de_1416_89d1_2522, 0x60fa_97fe_60fe_9d8e, 0x1ea2_c9a8_9baa_ddbb],
    ]),
    Bn254::new_array([
        [0x134d_5cef_db3c_7ff1, 0x591f_9a46_a0e9_c058, 0xb57e_9c1c_3d6a_2bd7, 0x0478_d66d_4353_5a8c],
        [0x1cde_5e4a_7b00_bebe, 0x662e_26ad_86c4_00b2, 0xf608_f3b2_717f_9cd2, 0x1927_2db7_1eec_e6a6],
        [0x039b_e846_af13_4166, 0xb2dd_1bd6_6a87_ef75, 0xc749_c746_f092_08ab, 0x1422_6537_335c_ab33],
    ]),
    Bn254::new_array([
        [0xf912_f449_61f9_a9ce, 0xb21c_21e4_a1c2_e823, 0x9dfe_38c0_d976_a088, 0x01fd_6af1_5956_294f],
        [0x5ad8_518d_4e5f_2a57, 0xaee2_e62e_d229_ba5a, 0x7bca_190b_8b2c_ab1a, 0x18e5_abed_d626_ec30],
        [0x0e2d_54dc_1c84_fda6, 0x97c0_21a3_a409_926d, 0xabbd_ffa6_d3b3_5e32, 0x0fc1_bbce_ba05_90f5],
    ]),
];

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use p3_field::PrimeField;

    /// The constants' generator: a shift register of 80 bits that keeps every second bit of pairs that start with a 1.
    struct Grain([bool; 80]);

    impl Grain {
        fn new() -> Self {
            // Prime field, S-box x^alpha, 254 bits, width 3, 8 and 56 rounds, ones.
            let words = [(2, 1), (4, 0), (12, 254), (12, 3), (10, 8), (10, 56), (30, (1 << 30) - 1)];
            let bits: Vec<bool> = words
                .iter()
                .flat_map(|(n, v): &(u32, u32)| (0..*n).rev().map(move |i| v >> i & 1 == 1))
                .collect();
            let mut grain = Self(bits.try_into().expect("80 bits"));
            (0..160).for_each(|_| {
                grain.step();
            });
            grain
        }

        fn step(&mut self) -> bool {
            let new = [62, 51, 38, 23, 13, 0].iter().fold(false, |acc, i| acc ^ self.0[*i]);
            self.0.rotate_left(1);
            self.0[79] = new;
            new
        }

        fn bit(&mut self) -> bool {
            while !self.step() {
                self.step();
            }
            self.step()
        }

        fn element(&mut self) -> Bn254 {
            loop {
                let mut limbs = [0u64; 4];
                for i in (0..254).rev() {
                    limbs[i / 64] |= u64::from(self.bit()) << (i % 64);
                }
                // Those not below the modulus are left out: they come back as another number.
                let element = Bn254::new(limbs);
                let back: Vec<u64> = element.as_canonical_biguint().iter_u64_digits().collect();
                if back == limbs[..back.len()] && limbs[back.len()..].iter().all(|l| *l == 0) {
                    return element;
                }
            }
        }
    }

    #[test]
    fn the_constants_are_those_of_the_generator() {
        let mut grain = Grain::new();
        let all = INITIAL.iter().flatten().chain(&PARTIAL).chain(TERMINAL.iter().flatten());
        all.enumerate().for_each(|(i, c)| assert_eq!(*c, grain.element(), "constant {i}"));
    }

    #[test]
    fn the_permutation_is_the_published_one() {
        let state = permute([Bn254::ZERO, Bn254::ONE, Bn254::TWO]);
        let shown: Vec<_> =
            state.iter().map(|s| alloc::format!("{:064x}", s.as_canonical_biguint())).collect();
        assert_eq!(
            shown,
            [
                "0bb61d24daca55eebcb1929a82650f328134334da98ea4f847f760054f4a3033",
                "303b6f7c86d043bfcbcc80214f26a30277a15d3f74ca654992defe7ff8d03570",
                "1ed25194542b12eef8617361c3ba7c52e660b145994427cc86296242cf766ec8"
            ]
        );
    }
}
