//! What a stage needs of a peer's memory, and what would fit where it does not.

use serde::{Deserialize, Serialize};

/// Bytes of the parts of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSize {
    /// Layers, to be cut into stages.
    pub layers: u32,
    /// Parameters of a layer.
    pub layer: u64,
    /// Parameters of embedding and head, which stage 0 holds besides.
    pub ends: u64,
    /// Gradients and optimizer state, in bytes per 100 bytes of parameters: 300 for AdamW with
    /// gradients and moments of the parameters' type.
    pub training_percent: u32,
    /// What a layer keeps of a microbatch from its forward to its backward pass.
    pub activations: u64,
    /// What a stage keeps of a microbatch besides: the hop's input.
    pub input: u64,
}

/// What a stage needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Its parameters.
    pub parameters: u64,
    /// Gradients and optimizer state.
    pub training: u64,
    /// Activations, for all slots.
    pub activations: u64,
}

impl Need {
    /// All of it; none where the sum is beyond 2⁶⁴ bytes.
    pub fn total(&self) -> Option<u64> {
        let state = self.parameters.checked_add(self.training)?;
        state.checked_add(self.activations)
    }
}

/// Whether a stage fits into a memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It does, with so many bytes to spare.
    Fits {
        /// Bytes left.
        spare: u64,
    },
    /// It would, with fewer slots.
    FewerSlots {
        /// The most that fit.
        slots: u16,
    },
    /// It would, were the model cut into more stages.
    MoreStages {
        /// The fewest stages that fit with a slot each.
        stages: u16,
    },
    /// One layer with one slot is too much.
    Never {
        /// The bytes that the smallest stage needs; none where they are beyond 2⁶⁴.
        needed: Option<u64>,
    },
}

impl ModelSize {
    /// What the largest stage needs if the layers are cut as evenly as they can be; the first
    /// stages have one more where layers cannot be divided. `first` is whether it holds embedding
    /// and head, too. None where there are no stages, or bytes beyond 2⁶⁴.
    pub fn need(&self, stages: u16, slots: u16, first: bool) -> Option<Need> {
        let layers = u64::from(self.layers).div_ceil(u64::from(stages).max(1));
        let ends = if first { self.ends } else { 0 };
        let parameters = self.layer.checked_mul(layers)?.checked_add(ends)?;
        let training = u128::from(parameters) * u128::from(self.training_percent) / 100;
        let slot = self
            .activations
            .checked_mul(layers)?
            .checked_add(self.input)?;
        (stages > 0).then_some(Need {
            parameters,
            training: u64::try_from(training).ok()?,
            activations: slot.checked_mul(u64::from(slots))?,
        })
    }

    /// Whether a stage fits into `memory` bytes, and what would fit where it does not: fewer slots
    /// if that is enough, else more stages.
    pub fn fit(&self, memory: u64, stages: u16, slots: u16, first: bool) -> Fit {
        let total = |stages, slots| {
            self.need(stages, slots, first)
                .and_then(|need| need.total())
        };
        let fits = |stages, slots| total(stages, slots).is_some_and(|bytes| bytes <= memory);
        if let Some(spare) = total(stages, slots).and_then(|bytes| memory.checked_sub(bytes)) {
            return Fit::Fits { spare };
        }
        if let Some(slots) = (1..slots).rev().find(|slots| fits(stages, *slots)) {
            return Fit::FewerSlots { slots };
        }
        let most = u16::try_from(self.layers).unwrap_or(u16::MAX);
        let more = stages.saturating_add(1)..=most.min(crate::topology::MAX_STAGES);
        match more.clone().find(|stages| fits(*stages, 1)) {
            Some(stages) => Fit::MoreStages { stages },
            None => Fit::Never {
                needed: total(most.clamp(1, crate::topology::MAX_STAGES), 1),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: ModelSize = ModelSize {
        layers: 10,
        layer: 100,
        ends: 50,
        training_percent: 300,
        activations: 20,
        input: 5,
    };

    #[test]
    fn a_stage_needs_its_largest_share_of_layers() {
        // Four layers of ten in three stages.
        let need = MODEL.need(3, 2, false).unwrap();
        assert_eq!(
            (need.parameters, need.training, need.activations),
            (400, 1200, 170)
        );
        assert_eq!(need.total(), Some(1770));
        assert_eq!(MODEL.need(3, 2, true).unwrap().parameters, 450);
        assert_eq!(MODEL.need(0, 2, true), None);
        let huge = ModelSize {
            layer: u64::MAX,
            ..MODEL
        };
        assert_eq!(huge.need(1, 1, false), None);
    }

    #[test]
    fn what_does_not_fit_is_told_what_would() {
        assert_eq!(MODEL.fit(1800, 3, 2, false), Fit::Fits { spare: 30 });
        assert_eq!(MODEL.fit(1700, 3, 2, false), Fit::FewerSlots { slots: 1 });
        // Three layers take 1,200 and 65 for a slot, two take 800 and 45.
        assert_eq!(MODEL.fit(1300, 3, 2, false), Fit::MoreStages { stages: 4 });
        assert_eq!(MODEL.fit(1264, 3, 2, false), Fit::MoreStages { stages: 5 });
        assert_eq!(
            MODEL.fit(100, 3, 2, false),
            Fit::Never { needed: Some(425) }
        );
    }
}
