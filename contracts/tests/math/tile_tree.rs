//! `TileTree.sol` against `verde::tensor`: what it opens, and that it opens nothing else.

use crate::evm::Contract;
use crate::random::Random;
use TileTreeHarness::TileTreeHarnessErrors as Refusal;
use TileTreeHarness::{flatIndexCall, tensorRootCall, verifyElementCall, verifyTileCall};
use alloy::primitives::U256;
use alloy::sol;
use alloy::sol_types::SolInterface;
use reproducible_ops::program::{DType, Digest, Shape, TensorType};
use reproducible_ops::tensor::Tensor;
use revm::primitives::Bytes;
use verde::tensor::{Opening, TensorTree, Tiling};

sol!(
    #[derive(Debug)]
    TileTreeHarness,
    "artifacts/TileTreeHarness.json"
);

/// Lengths of rows around the ends of tiles.
const WIDTHS: [u32; 12] = [1, 2, 3, 7, 64, 255, 256, 257, 300, 511, 512, 700];
/// Most rows of a drawn tensor.
const ROWS: i32 = 11;

/// A tensor, its tree, and the contract that judges openings.
struct Bench {
    contract: Contract,
    /// What the contract is told of the tensor: tag of the element type, and shape.
    header: (u8, Vec<u32>),
    tensor: Tensor,
    tree: TensorTree,
    root: Digest,
}

#[test]
fn every_element_opens() {
    let mut random = Random(1);
    let mut opened = 0;
    for shape in shapes(&mut random) {
        let mut bench = Bench::new(draw(&mut random, shape));
        for element in 0..bench.tensor.words().len() {
            let bits = bench.open_element(element).unwrap();
            let expected = bench.tensor.words()[element];
            assert_eq!(bits, expected, "element {element} of {:?}", bench.header);
        }
        opened += bench.tensor.words().len();
    }
    println!("{opened} elements opened");
}

#[test]
fn an_element_beyond_the_last_is_refused() {
    let mut random = Random(2);
    for shape in shapes(&mut random) {
        let mut bench = Bench::new(draw(&mut random, shape));
        let (elements, opening) = (bench.tensor.words().len(), bench.open(0));
        let refusal = bench.verify_element(elements, &opening).unwrap_err();
        assert!(
            matches!(refusal, Refusal::ElementOutOfRange(e) if e.elements == U256::from(elements))
        );
    }
}

#[test]
fn every_altered_byte_is_refused() {
    let mut random = Random(3);
    for shape in [vec![], vec![3, 300], vec![5, 256]] {
        let mut bench = Bench::new(draw(&mut random, shape));
        for tile in 0..bench.tiles() {
            for place in 0..bench.open(tile).tile.len() {
                let mut opening = bench.open(tile);
                opening.tile[place] ^= 1 << random.between(0, 31);
                bench.mismatches(tile, &opening);
            }
        }
    }
}

#[test]
fn every_altered_sibling_is_refused() {
    let mut random = Random(4);
    for shape in shapes(&mut random) {
        let mut bench = Bench::new(draw(&mut random, shape));
        for tile in 0..bench.tiles() {
            for place in 0..bench.open(tile).siblings.len() {
                let mut opening = bench.open(tile);
                opening.siblings[place][random.between(0, 31) as usize] ^=
                    1 << random.between(0, 7);
                bench.mismatches(tile, &opening);
            }
        }
    }
}

#[test]
fn one_sibling_more_or_less_is_refused() {
    let mut random = Random(5);
    for shape in shapes(&mut random) {
        let mut bench = Bench::new(draw(&mut random, shape));
        for tile in 0..bench.tiles() {
            let mut opening = bench.open(tile);
            opening.siblings.push(bench.root);
            bench.miscounts(tile, &opening);
            opening
                .siblings
                .truncate(opening.siblings.len().saturating_sub(2));
            if !bench.open(tile).siblings.is_empty() {
                bench.miscounts(tile, &opening);
            }
        }
    }
}

#[test]
fn a_tile_at_any_other_place_is_refused() {
    let mut random = Random(6);
    for shape in shapes(&mut random) {
        let mut bench = Bench::new(draw(&mut random, shape));
        let tiles = bench.tiles();
        for (tile, other) in (0..tiles).flat_map(|tile| (0..tiles).map(move |other| (tile, other)))
        {
            let opening = bench.open(tile);
            assert_eq!(
                bench.verify_tile(other, &opening).is_ok(),
                tile == other,
                "{tile} at {other} of {tiles}"
            );
        }
    }
}

#[test]
fn a_tile_of_another_length_is_refused() {
    let mut random = Random(7);
    for shape in shapes(&mut random) {
        let mut bench = Bench::new(draw(&mut random, shape));
        let whole = encode(&bench.open(0));
        let (longer, shorter) = ([&whole.tile[..], &[0]].concat(), whole.tile[1..].to_vec());
        for tile in [longer, shorter] {
            let opening = TileTreeHarness::Opening {
                tile: tile.into(),
                siblings: whole.siblings.clone(),
            };
            let refusal = bench.verify_encoded(0, opening).unwrap_err();
            assert!(matches!(refusal, Refusal::WrongTileLength(_)));
        }
    }
}

#[test]
fn any_other_type_or_shape_is_refused() {
    let mut random = Random(8);
    for shape in shapes(&mut random) {
        let mut bench = Bench::new(draw(&mut random, shape));
        let opening = bench.open(0);
        for header in other_headers(&bench.header) {
            bench.header = header;
            let verified = bench.verify_tile(0, &opening);
            assert!(verified.is_err(), "{:?}", bench.header);
        }
    }
}

#[test]
fn coordinates_count_in_row_major_order() {
    let shape = vec![3u32, 4, 5];
    let mut contract = Contract::deploy(&TileTreeHarness::BYTECODE);
    for element in 0..60u32 {
        let coordinates = vec![element / 20, element / 5 % 4, element % 5];
        let call = flatIndexCall {
            shape: shape.clone(),
            coordinates,
        };
        assert_eq!(contract.call(&call).unwrap(), U256::from(element));
    }
}

impl Bench {
    fn new(tensor: Tensor) -> Self {
        let tree = TensorTree::new(&tensor);
        let dims = tensor.shape().dims().iter().map(|dim| *dim as u32);
        let mut bench = Self {
            contract: Contract::deploy(&TileTreeHarness::BYTECODE),
            header: (tensor.ty().dtype.tag(), dims.collect()),
            root: tree.root(),
            tensor,
            tree,
        };
        let call = tensorRootCall {
            header: bench.header(),
            treeRoot: bench.tree.tree().root().into(),
        };
        let found = bench.contract.call(&call).unwrap();
        assert_eq!(found, bench.root, "{:?}", bench.header);
        bench
    }

    fn tiles(&self) -> usize {
        self.tree.tree().leaves()
    }

    fn open(&self, tile: usize) -> Opening {
        self.tree.open(&self.tensor, tile).unwrap()
    }

    fn header(&self) -> TileTreeHarness::Header {
        TileTreeHarness::Header {
            dtype: self.header.0,
            shape: self.header.1.clone(),
        }
    }

    fn open_element(&mut self, element: usize) -> Result<u32, Refusal> {
        let (tile, _) = Tiling::of(self.tensor.shape()).place(element);
        let opening = self.open(tile);
        self.verify_element(element, &opening)
    }

    fn verify_element(&mut self, element: usize, opening: &Opening) -> Result<u32, Refusal> {
        let (root, header, index) = (self.root.into(), self.header(), U256::from(element));
        let call = verifyElementCall {
            root,
            header,
            index,
            opening: encode(opening),
        };
        self.contract.call(&call).map_err(|data| refusal(&data))
    }

    fn verify_tile(&mut self, tile: usize, opening: &Opening) -> Result<(), Refusal> {
        self.verify_encoded(tile, encode(opening))
    }

    fn verify_encoded(
        &mut self,
        tile: usize,
        opening: TileTreeHarness::Opening,
    ) -> Result<(), Refusal> {
        let (root, header, index) = (self.root.into(), self.header(), U256::from(tile));
        let call = verifyTileCall {
            root,
            header,
            index,
            opening,
        };
        self.contract
            .call(&call)
            .map(|_| ())
            .map_err(|data| refusal(&data))
    }

    fn mismatches(&mut self, tile: usize, opening: &Opening) {
        let refusal = self.verify_tile(tile, opening).unwrap_err();
        assert!(matches!(refusal, Refusal::RootMismatch(e) if e.expected == self.root));
    }

    fn miscounts(&mut self, tile: usize, opening: &Opening) {
        let refusal = self.verify_tile(tile, opening).unwrap_err();
        assert!(
            matches!(refusal, Refusal::WrongSiblingCount(e) if e.given == U256::from(opening.siblings.len()))
        );
    }
}

fn encode(opening: &Opening) -> TileTreeHarness::Opening {
    let siblings = opening.siblings.iter().map(|&hash| hash.into()).collect();
    let tile = opening.tile.iter().flat_map(|word| word.to_le_bytes());
    TileTreeHarness::Opening {
        tile: tile.collect::<Vec<u8>>().into(),
        siblings,
    }
}

/// The custom error; a panic or a bare revert of the contract fails the test.
fn refusal(data: &Bytes) -> Refusal {
    Refusal::abi_decode(data).unwrap()
}

/// A scalar, single tiles, odd and even numbers of tiles, and up to four axes.
fn shapes(random: &mut Random) -> Vec<Vec<u32>> {
    let mut shapes = vec![
        vec![],
        vec![1],
        vec![256],
        vec![257],
        vec![3, 256],
        vec![1, 1, 5, 1],
        vec![9, 513],
    ];
    for _ in 0..24 {
        let (rows, width) = (random.between(1, ROWS) as u32, random.pick(&WIDTHS));
        shapes.push(if random.bits() & 1 == 0 {
            vec![rows, width]
        } else {
            vec![2, rows.div_ceil(2), 1, width]
        });
    }
    shapes
}

fn draw(random: &mut Random, shape: Vec<u32>) -> Tensor {
    let dtype = random.pick(&[DType::F32, DType::I32, DType::Bool]);
    let dims: Vec<usize> = shape.iter().map(|dim| *dim as usize).collect();
    let ty = TensorType::new(dtype, Shape::new(dims));
    let words = (0..ty.shape.elements()).map(|_| random.bits()).collect();
    Tensor::from_words(ty, words).unwrap()
}

/// Another type, another length of each axis, the axes in another order, an axis more, an axis
/// less.
fn other_headers((dtype, shape): &(u8, Vec<u32>)) -> Vec<(u8, Vec<u32>)> {
    let dtype = *dtype;
    let mut headers = vec![((dtype + 1) % 3, shape.clone())];
    let mut shapes = vec![
        [&[1], shape.as_slice()].concat(),
        [shape.as_slice(), &[1]].concat(),
    ];
    for axis in 0..shape.len() {
        for by in [-1, 1] {
            let mut other = shape.clone();
            other[axis] = other[axis].wrapping_add_signed(by);
            shapes.push(other);
        }
    }
    shapes.push(shape.iter().rev().copied().collect());
    shapes.push(shape.get(1..).unwrap_or(&[7]).to_vec());
    headers.extend(
        shapes
            .into_iter()
            .filter(|other| other != shape)
            .map(|other| (dtype, other)),
    );
    headers
}
