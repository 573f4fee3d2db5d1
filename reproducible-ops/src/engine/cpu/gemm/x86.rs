//! The micro-kernels with AVX2 and AVX-512.

use std::arch::x86_64::*;

use super::few::{Strip, strip};
use super::isa::Isa;
use super::kernel::{Tile, dispatch, micro};
use super::lanes::{CANONICAL_NAN, Kept, Lanes, copy_panels};

/// AVX2 with FMA and F16C.
pub(super) struct Avx2;

/// AVX-512 F, VL, DQ and BW.
pub(super) struct Avx512;

impl Isa for Avx2 {
    type Vector = __m256;

    fn widest(rows: usize, spread: bool) -> usize {
        match rows {
            1 => 8,
            2 => 4,
            3 | 5 if spread => 4,
            _ => 2,
        }
    }

    fn tallest(vectors: usize) -> usize {
        match vectors {
            1 | 2 => 6,
            4 => 3,
            _ => 1,
        }
    }

    unsafe fn tile(rows: usize, vectors: usize, tile: &Tile<impl Kept>) {
        // SAFETY: the caller checked the instruction set and vouches for the tile.
        unsafe {
            dispatch!(avx2, (rows, vectors, tile),
                1: [1 2 3 4 5 6], 2: [1 2 3 4 5 6], 4: [1 2 3], 8: [1]);
        }
    }

    fn strip(rows: usize) -> usize {
        match rows {
            1..=4 => 2,
            _ => 0,
        }
    }

    unsafe fn few(rows: usize, vectors: usize, strip: &Strip) {
        // SAFETY: the caller checked the instruction set and vouches for the strip.
        unsafe {
            dispatch!(avx2_few, (rows, vectors, strip), 1: [1 2 3 4], 2: [1 2 3 4]);
        }
    }

    unsafe fn transpose(
        src: *const f32,
        stride: usize,
        rows: usize,
        cols: usize,
        dst: *mut f32,
        to: usize,
    ) {
        // SAFETY: the caller checked the instruction set and vouches for the block.
        unsafe { transpose_8(src, stride, rows, cols, dst, to) }
    }

    unsafe fn copy_panels(
        src: *const f32,
        stride: usize,
        count: usize,
        depth: usize,
        dst: *mut f32,
    ) {
        // SAFETY: the caller checked the instruction set and vouches for the panels.
        unsafe { copy_panels_8(src, stride, count, depth, dst) }
    }
}

impl Isa for Avx512 {
    type Vector = __m512;

    fn widest(rows: usize, _spread: bool) -> usize {
        match rows {
            1..=3 => 8,
            _ => 4,
        }
    }

    fn tallest(vectors: usize) -> usize {
        match vectors {
            1 | 2 => 14,
            3 => 8,
            4 => 6,
            _ => 3,
        }
    }

    unsafe fn tile(rows: usize, vectors: usize, tile: &Tile<impl Kept>) {
        // SAFETY: the caller checked the instruction set and vouches for the tile.
        unsafe {
            dispatch!(avx512, (rows, vectors, tile),
                1: [1 2 3 4 5 6 7 8 9 10 11 12 13 14], 2: [1 2 3 4 5 6 7 8 9 10 11 12 13 14],
                3: [1 2 3 4 5 6 7 8], 4: [1 2 3 4 5 6], 8: [1 2 3]);
        }
    }

    fn strip(rows: usize) -> usize {
        match rows {
            1..=6 => 2,
            7 | 8 => 1,
            _ => 0,
        }
    }

    unsafe fn few(rows: usize, vectors: usize, strip: &Strip) {
        // SAFETY: the caller checked the instruction set and vouches for the strip.
        unsafe {
            dispatch!(avx512_few, (rows, vectors, strip),
                1: [1 2 3 4 5 6 7 8], 2: [1 2 3 4 5 6]);
        }
    }

    unsafe fn transpose(
        src: *const f32,
        stride: usize,
        rows: usize,
        cols: usize,
        dst: *mut f32,
        to: usize,
    ) {
        // SAFETY: the caller checked the instruction set and vouches for the block.
        unsafe { transpose_16(src, stride, rows, cols, dst, to) }
    }

    unsafe fn copy_panels(
        src: *const f32,
        stride: usize,
        count: usize,
        depth: usize,
        dst: *mut f32,
    ) {
        // SAFETY: the caller checked the instruction set and vouches for the panels.
        unsafe { copy_panels_16(src, stride, count, depth, dst) }
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn avx2<const ROWS: usize, const VECTORS: usize>(tile: &Tile<impl Kept>) {
    // SAFETY: the instruction set is enabled here; the caller vouches for the tile.
    unsafe { micro::<__m256, _, ROWS, VECTORS>(tile) }
}

#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
unsafe fn avx512<const ROWS: usize, const VECTORS: usize>(tile: &Tile<impl Kept>) {
    // SAFETY: the instruction set is enabled here; the caller vouches for the tile.
    unsafe { micro::<__m512, _, ROWS, VECTORS>(tile) }
}

#[target_feature(enable = "avx2,fma")]
unsafe fn avx2_few<const ROWS: usize, const VECTORS: usize>(to: &Strip) {
    // SAFETY: the instruction set is enabled here; the caller vouches for the strip.
    unsafe { strip::<__m256, ROWS, VECTORS>(to) }
}

#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
unsafe fn avx512_few<const ROWS: usize, const VECTORS: usize>(to: &Strip) {
    // SAFETY: the instruction set is enabled here; the caller vouches for the strip.
    unsafe { strip::<__m512, ROWS, VECTORS>(to) }
}

/// Lane `i` is all ones if `i < n`.
#[inline(always)]
unsafe fn first_8(n: usize) -> __m256i {
    // SAFETY: the caller runs with AVX2.
    unsafe {
        _mm256_cmpgt_epi32(
            _mm256_set1_epi32(n as i32),
            _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7),
        )
    }
}

/// Bit `i` is set if `i < n`, for `n <= 16`.
#[inline(always)]
fn first_16(n: usize) -> __mmask16 {
    ((1_u32 << n) - 1) as __mmask16
}

// SAFETY of every block below: intrinsics run where the caller enabled the instruction set, on
// pointers it vouches for.
impl Lanes for __m256 {
    const LANES: usize = 8;
    const PANEL: usize = 2;
    const AHEAD: usize = 1536;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: see above.
        unsafe { _mm256_setzero_ps() }
    }
    #[inline(always)]
    unsafe fn splat(p: *const f32) -> Self {
        // SAFETY: see above.
        unsafe { _mm256_set1_ps(*p) }
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: see above.
        unsafe { _mm256_loadu_ps(p) }
    }
    #[inline(always)]
    unsafe fn load_bf16(p: *const u16) -> Self {
        // SAFETY: see above.
        unsafe {
            let halves = _mm256_cvtepu16_epi32(_mm_loadu_si128(p.cast()));
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(halves))
        }
    }
    #[inline(always)]
    unsafe fn load_f16(p: *const u16) -> Self {
        // SAFETY: see above.
        unsafe { _mm256_cvtph_ps(_mm_loadu_si128(p.cast())) }
    }
    #[inline(always)]
    unsafe fn load_first(p: *const f32, n: usize) -> Self {
        // SAFETY: see above; masked lanes are not accessed.
        unsafe { _mm256_maskload_ps(p, first_8(n)) }
    }
    #[inline(always)]
    unsafe fn columns(rows: *const f32, stride: usize) -> [Self; 4] {
        // SAFETY: see above.
        unsafe {
            let four = |row: usize| _mm_loadu_ps(rows.add(row * stride));
            // Rows `i` and `i + 4`.
            let pair = |i| _mm256_set_m128(four(i + 4), four(i));
            let (a, b, c, d) = (pair(0), pair(1), pair(2), pair(3));
            let (ab, cd) = (_mm256_unpacklo_ps(a, b), _mm256_unpacklo_ps(c, d));
            let (ab_high, cd_high) = (_mm256_unpackhi_ps(a, b), _mm256_unpackhi_ps(c, d));
            [
                _mm256_shuffle_ps::<0x44>(ab, cd),
                _mm256_shuffle_ps::<0xee>(ab, cd),
                _mm256_shuffle_ps::<0x44>(ab_high, cd_high),
                _mm256_shuffle_ps::<0xee>(ab_high, cd_high),
            ]
        }
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: see above.
        unsafe { _mm256_storeu_ps(p, self) }
    }
    #[inline(always)]
    unsafe fn store_first(self, p: *mut f32, n: usize) {
        // SAFETY: see above; masked lanes are not accessed.
        unsafe { _mm256_maskstore_ps(p, first_8(n), self) }
    }
    #[inline(always)]
    unsafe fn fma(self, b: Self, acc: Self) -> Self {
        // SAFETY: see above.
        unsafe { _mm256_fmadd_ps(self, b, acc) }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: see above.
        unsafe { _mm256_add_ps(self, other) }
    }
    #[inline(always)]
    unsafe fn canonical(self) -> Self {
        // SAFETY: see above.
        unsafe {
            let nan = _mm256_set1_ps(f32::from_bits(CANONICAL_NAN));
            _mm256_blendv_ps(self, nan, _mm256_cmp_ps::<_CMP_UNORD_Q>(self, self))
        }
    }
    #[inline(always)]
    unsafe fn prefetch(p: *const f32) {
        // SAFETY: a prefetch accesses no memory.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(p.cast()) }
    }
}

// SAFETY of every block below: intrinsics run where the caller enabled the instruction set, on
// pointers it vouches for.
impl Lanes for __m512 {
    const LANES: usize = 16;
    const PANEL: usize = 4;
    const AHEAD: usize = 1024;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: see above.
        unsafe { _mm512_setzero_ps() }
    }
    #[inline(always)]
    unsafe fn splat(p: *const f32) -> Self {
        // SAFETY: see above.
        unsafe { _mm512_set1_ps(*p) }
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: see above.
        unsafe { _mm512_loadu_ps(p) }
    }
    #[inline(always)]
    unsafe fn load_bf16(p: *const u16) -> Self {
        // SAFETY: see above.
        unsafe {
            let halves = _mm512_cvtepu16_epi32(_mm256_loadu_si256(p.cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(halves))
        }
    }
    #[inline(always)]
    unsafe fn load_f16(p: *const u16) -> Self {
        // SAFETY: see above.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(p.cast())) }
    }
    #[inline(always)]
    unsafe fn load_first(p: *const f32, n: usize) -> Self {
        // SAFETY: see above; masked lanes are not accessed.
        unsafe { _mm512_maskz_loadu_ps(first_16(n), p) }
    }
    #[inline(always)]
    unsafe fn columns(rows: *const f32, stride: usize) -> [Self; 4] {
        // SAFETY: see above.
        unsafe {
            let four = |row: usize| _mm_loadu_ps(rows.add(row * stride));
            // Rows `i`, `i + 4`, `i + 8` and `i + 12`.
            let quad = |i| {
                let x = _mm512_castps128_ps512(four(i));
                let x = _mm512_insertf32x4::<1>(x, four(i + 4));
                let x = _mm512_insertf32x4::<2>(x, four(i + 8));
                _mm512_insertf32x4::<3>(x, four(i + 12))
            };
            let (a, b, c, d) = (quad(0), quad(1), quad(2), quad(3));
            let (ab, cd) = (_mm512_unpacklo_ps(a, b), _mm512_unpacklo_ps(c, d));
            let (ab_high, cd_high) = (_mm512_unpackhi_ps(a, b), _mm512_unpackhi_ps(c, d));
            [
                _mm512_shuffle_ps::<0x44>(ab, cd),
                _mm512_shuffle_ps::<0xee>(ab, cd),
                _mm512_shuffle_ps::<0x44>(ab_high, cd_high),
                _mm512_shuffle_ps::<0xee>(ab_high, cd_high),
            ]
        }
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: see above.
        unsafe { _mm512_storeu_ps(p, self) }
    }
    #[inline(always)]
    unsafe fn store_first(self, p: *mut f32, n: usize) {
        // SAFETY: see above; masked lanes are not accessed.
        unsafe { _mm512_mask_storeu_ps(p, first_16(n), self) }
    }
    #[inline(always)]
    unsafe fn fma(self, b: Self, acc: Self) -> Self {
        // SAFETY: see above.
        unsafe { _mm512_fmadd_ps(self, b, acc) }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: see above.
        unsafe { _mm512_add_ps(self, other) }
    }
    #[inline(always)]
    unsafe fn canonical(self) -> Self {
        // SAFETY: see above.
        unsafe {
            let nan = _mm512_set1_ps(f32::from_bits(CANONICAL_NAN));
            _mm512_mask_mov_ps(self, _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(self, self), nan)
        }
    }
    #[inline(always)]
    unsafe fn prefetch(p: *const f32) {
        // SAFETY: a prefetch accesses no memory.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(p.cast()) }
    }
}

/// See [`Isa::transpose`].
#[target_feature(enable = "avx2,fma")]
unsafe fn transpose_8(
    src: *const f32,
    stride: usize,
    rows: usize,
    cols: usize,
    dst: *mut f32,
    to: usize,
) {
    let mask = first_mask_8(cols);
    let mut x = [_mm256_setzero_ps(); 8];
    for (r, row) in x.iter_mut().enumerate().take(rows) {
        // SAFETY: the caller vouches for `rows` rows of `cols` floats; masked lanes are not
        // accessed.
        *row = unsafe { _mm256_maskload_ps(src.add(r * stride), mask) };
    }
    let mut y = [_mm256_setzero_ps(); 8];
    for i in 0..4 {
        y[2 * i] = _mm256_unpacklo_ps(x[2 * i], x[2 * i + 1]);
        y[2 * i + 1] = _mm256_unpackhi_ps(x[2 * i], x[2 * i + 1]);
    }
    // Each half of 128 bits of z[4 g + c] holds columns c and c + 4 of rows 4 g to 4 g + 3.
    let mut z = [_mm256_setzero_ps(); 8];
    for g in 0..2 {
        for h in 0..2 {
            let (low, high) = (y[4 * g + h], y[4 * g + 2 + h]);
            z[4 * g + 2 * h] = _mm256_shuffle_ps::<0x44>(low, high);
            z[4 * g + 2 * h + 1] = _mm256_shuffle_ps::<0xee>(low, high);
        }
    }
    for c in 0..4 {
        x[c] = _mm256_permute2f128_ps::<0x20>(z[c], z[4 + c]);
        x[c + 4] = _mm256_permute2f128_ps::<0x31>(z[c], z[4 + c]);
    }
    for (c, column) in x.into_iter().enumerate().take(cols) {
        // SAFETY: the caller vouches for `cols` rows of 8 floats in `dst`.
        unsafe { _mm256_storeu_ps(dst.add(c * to), column) };
    }
}

#[target_feature(enable = "avx2")]
fn first_mask_8(n: usize) -> __m256i {
    _mm256_cmpgt_epi32(
        _mm256_set1_epi32(n as i32),
        _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7),
    )
}

/// See [`Isa::transpose`].
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
unsafe fn transpose_16(
    src: *const f32,
    stride: usize,
    rows: usize,
    cols: usize,
    dst: *mut f32,
    to: usize,
) {
    let mask = first_16(cols);
    let mut x = [_mm512_setzero_ps(); 16];
    for (r, row) in x.iter_mut().enumerate() {
        if r < rows {
            // SAFETY: the caller vouches for `rows` rows of `cols` floats; masked lanes are not
            // accessed.
            *row = unsafe { _mm512_maskz_loadu_ps(mask, src.add(r * stride)) };
        }
    }
    let columns = transposed_16(x);
    for (c, column) in columns.into_iter().enumerate() {
        if c < cols {
            // SAFETY: the caller vouches for `cols` rows of 16 floats in `dst`.
            unsafe { _mm512_storeu_ps(dst.add(c * to), column) };
        }
    }
}

/// The transpose of a 16 x 16 block: pairs of rows, then fours, then quarters of 128 bits.
#[target_feature(enable = "avx512f")]
fn transposed_16(x: [__m512; 16]) -> [__m512; 16] {
    let zero = _mm512_setzero_ps();
    let (mut y, mut z) = ([zero; 16], [zero; 16]);
    for i in 0..8 {
        y[2 * i] = _mm512_unpacklo_ps(x[2 * i], x[2 * i + 1]);
        y[2 * i + 1] = _mm512_unpackhi_ps(x[2 * i], x[2 * i + 1]);
    }
    // Quarter q of z[4 g + c] holds column 4 q + c of rows 4 g to 4 g + 3.
    for g in 0..4 {
        for h in 0..2 {
            let (low, high) = (y[4 * g + h], y[4 * g + 2 + h]);
            z[4 * g + 2 * h] = _mm512_shuffle_ps::<0x44>(low, high);
            z[4 * g + 2 * h + 1] = _mm512_shuffle_ps::<0xee>(low, high);
        }
    }
    for c in 0..4 {
        let even_low = _mm512_shuffle_f32x4::<0x88>(z[c], z[4 + c]);
        let odd_low = _mm512_shuffle_f32x4::<0xdd>(z[c], z[4 + c]);
        let even_high = _mm512_shuffle_f32x4::<0x88>(z[8 + c], z[12 + c]);
        let odd_high = _mm512_shuffle_f32x4::<0xdd>(z[8 + c], z[12 + c]);
        y[c] = _mm512_shuffle_f32x4::<0x88>(even_low, even_high);
        y[4 + c] = _mm512_shuffle_f32x4::<0x88>(odd_low, odd_high);
        y[8 + c] = _mm512_shuffle_f32x4::<0xdd>(even_low, even_high);
        y[12 + c] = _mm512_shuffle_f32x4::<0xdd>(odd_low, odd_high);
    }
    y
}

#[target_feature(enable = "avx2,fma")]
unsafe fn copy_panels_8(src: *const f32, stride: usize, count: usize, depth: usize, dst: *mut f32) {
    // SAFETY: the instruction set is enabled here; the caller vouches for the panels.
    unsafe { copy_panels::<__m256>(src, stride, count, depth, dst) }
}

#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
unsafe fn copy_panels_16(
    src: *const f32,
    stride: usize,
    count: usize,
    depth: usize,
    dst: *mut f32,
) {
    // SAFETY: the instruction set is enabled here; the caller vouches for the panels.
    unsafe { copy_panels::<__m512>(src, stride, count, depth, dst) }
}
