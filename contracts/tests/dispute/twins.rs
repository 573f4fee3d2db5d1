//! A game under both sets of rules.

use alloy::primitives::{Address, Bytes};
use alloy::sol;
use alloy::sol_types::SolValue;
use contracts::game::{Context, Encoder, Move, decode, pack};
use proptest::prelude::*;
use verde::game::{Move as Made, Place, Rules, Side};
use verde::player::Game;

use crate::evm::Evm;
use DisputeGame::startCall;
use GameRules::{playCall, playReturn};

sol!(
    #[derive(Debug)]
    GameRules,
    "artifacts/GameRules.json"
);
sol!(DisputeGame, "artifacts/DisputeGame.json");
sol!(Referee, "artifacts/Referee.json");

/// A game on both sides.
pub struct Twins<'a> {
    evm: Evm,
    rules: Address,
    pub game: Game<'a>,
    pub encoder: Encoder<'a>,
    /// Gas of the calls so far.
    pub gas: u64,
}

impl<'a> Twins<'a> {
    pub fn new(rules: Rules<'a>) -> Self {
        let mut evm = Evm::new();
        let referee = evm.deploy(&Referee::BYTECODE, ());
        let contract = evm.deploy(&GameRules::BYTECODE, (referee,));
        let games = (contract, Address::repeat_byte(1), 3_600_u32);
        let games = evm.deploy(&DisputeGame::BYTECODE, games);
        let encoder = Encoder::new(rules).unwrap();
        let claim = SolValue::abi_encode(encoder.claim());
        let claim = <DisputeGame::Claim as SolValue>::abi_decode(&claim).unwrap();
        let (start, _) = evm.call(games, &startCall { claim }).unwrap();
        assert_eq!(start.position, encoder.position(), "the start");
        assert_eq!(start.context, encoder.context(), "the start");
        Self {
            evm,
            rules: contract,
            game: Game::new(rules),
            encoder,
            gas: 0,
        }
    }

    pub fn on_chain(&mut self, side: Side, moves: &[Move]) -> Result<(playReturn, u64), Bytes> {
        let call = playCall {
            position: self.encoder.position().into(),
            context: self.encoder.context_for(moves).into(),
            side: side as u8,
            moves: pack(moves),
        };
        self.evm.call(self.rules, &call)
    }

    /// Makes a move on both sides; false where both refuse it.
    pub fn play(&mut self, side: Side, made: &Made) -> bool {
        let encoded = self.encoder.encode(self.game.place(), made).unwrap();
        if !matches!(
            made,
            Made::ProveNext(_) | Made::ProveInput(_) | Made::Prove { .. }
        ) {
            assert_eq!(decode(&said(&encoded)).as_ref(), Ok(made), "read back");
        }
        let found = self.on_chain(side, &[encoded]);
        let refusal = self.game.play(side, made).err();
        let (answer, gas) = match (found, refusal) {
            (Ok(answer), None) => answer,
            (Err(_), Some(_)) => return false,
            (found, refusal) => panic!("{made:?}\nchain: {found:?}\nrules: {refusal:?}"),
        };
        self.gas += gas;
        let won = matches!(self.game.place(), Place::Won(_));
        assert_eq!(answer.won, won, "{made:?}");
        self.encoder.follow(self.game.place()).unwrap();
        if !won {
            let (next, context) = (self.encoder.position(), self.encoder.context());
            if !answer.contextThen.is_empty() {
                let then = <Context as SolValue>::abi_decode(&answer.contextThen);
                let mine = <Context as SolValue>::abi_decode(&context);
                assert_eq!(then.unwrap(), mine.unwrap(), "after {made:?}");
                assert_eq!(answer.contextThen, context, "after {made:?}");
            }
            assert_eq!(answer.next, next, "after {made:?}");
            assert_eq!(
                Some(answer.turn),
                self.game.place().turn().map(|side| side as u8)
            );
        }
        true
    }

    /// The move of the other side, and the move with a byte changed, are refused by both.
    pub fn try_wrongly(&mut self, side: Side, made: &Made, at: prop::sample::Index, bit: u8) {
        let encoded = self.encoder.encode(self.game.place(), made).unwrap();
        let mut rules = self.game.clone();
        let allowed = rules.play(side.other(), made).is_ok();
        assert_eq!(
            self.on_chain(side.other(), std::slice::from_ref(&encoded))
                .is_ok(),
            allowed,
            "{made:?}"
        );
        for changed in damaged(&encoded.data, at, bit) {
            let changed = Move {
                kind: encoded.kind,
                data: changed.into(),
            };
            let Ok((answer, _)) = self.on_chain(side, std::slice::from_ref(&changed)) else {
                continue;
            };
            // A proof of another false element: nobody has to go on from there.
            if answer.won {
                continue;
            }
            // What the contract takes, everybody reads from the log alone, and the rules take it.
            let logged = said(&changed);
            let read = decode(&logged).unwrap_or_else(|error| panic!("{made:?}: {error}"));
            let is_new = logged != said(&encoded);
            assert_eq!(read != *made, is_new, "two forms of one move");
            let (mut rules, mut encoder) = (self.game.clone(), self.encoder.clone());
            rules.play(side, &read).unwrap();
            encoder.follow(rules.place()).unwrap();
            assert_eq!(answer.next, encoder.position(), "{read:?}");
        }
    }
}

/// What the log says of a move: of a hash and its proof the hash.
pub fn said(made: &Move) -> Move {
    let kept = match made.kind {
        3 | 4 | 7 => 32,
        _ => made.data.len(),
    };
    let data = made.data.slice(..kept);
    Move {
        kind: made.kind,
        data,
    }
}

/// A bit changed, anything behind it, an end cut off, and all of it moved behind a gap.
fn damaged(data: &[u8], at: prop::sample::Index, bit: u8) -> Vec<Vec<u8>> {
    let mut gap = data.to_vec();
    if let Some(word) = gap.first_chunk_mut::<32>() {
        word[31] = 64;
        gap.splice(32..32, [0; 32]);
    }
    let longer = [data, &[0; 32]].concat();
    let shorter = data[..data.len().saturating_sub(32)].to_vec();
    let mut changed = vec![gap, longer, shorter];
    if !data.is_empty() {
        let mut flipped = data.to_vec();
        flipped[at.index(data.len())] ^= 1 << bit;
        changed.push(flipped);
    }
    changed.retain(|changed| changed[..] != *data);
    changed
}
