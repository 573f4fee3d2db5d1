//! The parts of a specification that say how peers do a job together.

use serde::{Deserialize, Serialize};
use skippipe::encoding::Format;
use swarm_learn::averaging::outer::Outer;
use swarm_learn::averaging::transcript::MAX_REPLICAS;
use swarm_model::stages::bottleneck::Bottleneck;
use swarm_net::limits::MAX_CHANNEL_MEMBERS;

/// A number that cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WrongValue {
    pub(super) key: &'static str,
    pub(super) value: String,
    pub(super) allowed: &'static str,
}

impl WrongValue {
    pub(super) fn new(key: &'static str, value: impl ToString, allowed: &'static str) -> Self {
        Self {
            key,
            value: value.to_string(),
            allowed,
        }
    }
}

/// A pipeline of peers that hold a stage each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PipelineSpec {
    /// Stages of the model. The first holds embedding and head, the others the layers.
    pub stages: u16,
    /// Peers that begin, in turn one for each stage.
    pub peers: u32,
    /// Peers at most, with those that join while it runs; twice as many as begin, unless told
    /// otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most_peers: Option<u32>,
    /// Stages that a microbatch visits, the first among them; all, unless told otherwise.
    #[serde(default)]
    pub visits: Option<u16>,
    /// Every so many steps nothing is skipped; 0 for never.
    #[serde(default = "PipelineSpec::ten")]
    pub full_every: u64,
    /// Microbatches that a peer holds at a time.
    #[serde(default = "PipelineSpec::three")]
    pub slots: usize,
    /// How activations and their gradients are sent: `f32`, `bf16` or `int8`.
    #[serde(default)]
    pub format: WireFormat,
    /// Activations are sent through a learned map to so many times fewer numbers.
    #[serde(default)]
    pub bottleneck: Option<usize>,
    /// Whether stages behind a bottleneck add an embedding of the tokens that they hold themselves;
    /// they do, unless told otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bottleneck_residual: Option<bool>,
    /// Copies of stages are kept by peers of other stages every so many steps; 0 for never.
    #[serde(default = "PipelineSpec::ten")]
    pub keep_every: u64,
    /// A stage that nobody holds any more is rebuilt from its neighbours.
    #[serde(default = "PipelineSpec::yes")]
    pub rebuild: bool,
    /// Seconds that a hop takes at most, there and back.
    #[serde(default = "PipelineSpec::ten")]
    pub hop_seconds: u64,
    /// Seconds that peers have to reduce, to move, or to take up a stage.
    #[serde(default = "PipelineSpec::thirty")]
    pub phase_seconds: u64,
    /// Seconds that the passes of a step take at most.
    #[serde(default = "PipelineSpec::ten_minutes")]
    pub step_seconds: u64,
}

/// How numbers go from peer to peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WireFormat {
    /// Four bytes a number; a pipeline without skips is then the job of one machine, bit for bit.
    #[default]
    F32,
    /// Two bytes a number.
    Bf16,
    /// One byte a number, and a scale for each block.
    Int8,
}

impl PipelineSpec {
    fn yes() -> bool {
        true
    }

    fn three() -> usize {
        3
    }

    fn ten() -> u64 {
        10
    }

    fn thirty() -> u64 {
        30
    }

    fn ten_minutes() -> u64 {
        600
    }

    /// What is at every boundary of stages.
    pub fn at_boundaries(&self) -> Option<Bottleneck> {
        self.bottleneck.map(|compression| Bottleneck {
            compression,
            residual: self.bottleneck_residual.unwrap_or(true),
        })
    }

    /// Peers at most, with those that join while it runs.
    pub fn most_peers(&self) -> u32 {
        let twice = self.peers.saturating_mul(2).min(Self::MOST_PEERS);
        self.most_peers.unwrap_or(twice.max(self.peers))
    }

    /// Members that channels have at most.
    const MOST_PEERS: u32 = MAX_CHANNEL_MEMBERS as u32;

    pub(super) fn check(&self, microbatches: usize) -> Result<(), WrongValue> {
        if let (None, Some(residual)) = (self.bottleneck, self.bottleneck_residual) {
            return Err(WrongValue::new(
                "pipeline.bottleneck_residual",
                residual,
                "beside pipeline.bottleneck only",
            ));
        }
        if !(1..=64).contains(&self.stages) {
            return Err(WrongValue::new(
                "pipeline.stages",
                self.stages,
                "from 1 to 64",
            ));
        }
        let least = u32::from(self.stages);
        if !(least..=1024).contains(&self.peers) {
            let allowed = "at least the number of stages, and at most 1024";
            return Err(WrongValue::new("pipeline.peers", self.peers, allowed));
        }
        let most = Self::MOST_PEERS.max(self.peers);
        if !(self.peers..=most).contains(&self.most_peers()) {
            let allowed = "at least pipeline.peers, and at most 256 where others join later";
            let found = self.most_peers();
            return Err(WrongValue::new("pipeline.most_peers", found, allowed));
        }
        let visits = self.visits.unwrap_or(self.stages);
        if !(1..=self.stages).contains(&visits) {
            return Err(WrongValue::new(
                "pipeline.visits",
                visits,
                "from 1 to the number of stages",
            ));
        }
        if !(1..=256).contains(&self.slots) {
            return Err(WrongValue::new(
                "pipeline.slots",
                self.slots,
                "from 1 to 256",
            ));
        }
        if !(1..=4096).contains(&microbatches) {
            let allowed = "from 1 to 4096 in a pipeline";
            return Err(WrongValue::new("batch.microbatches", microbatches, allowed));
        }
        let times = [
            ("pipeline.hop_seconds", self.hop_seconds),
            ("pipeline.phase_seconds", self.phase_seconds),
            ("pipeline.step_seconds", self.step_seconds),
        ];
        match times
            .into_iter()
            .find(|(_, time)| !(1..=86_400).contains(time))
        {
            Some((key, time)) => Err(WrongValue::new(key, time, "from 1 to 86400")),
            None => Ok(()),
        }
    }
}

impl From<WireFormat> for Format {
    fn from(format: WireFormat) -> Self {
        match format {
            WireFormat::F32 => Self::F32,
            WireFormat::Bf16 => Self::Bf16,
            WireFormat::Int8 => Self::Int8,
        }
    }
}

/// Replicas of a whole model that train apart and meet after each round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AveragingSpec {
    /// How they meet: `noloco` in random pairs, `diloco` all at once.
    pub method: Method,
    /// Replicas, each at a peer of its own.
    pub replicas: u32,
    /// Steps of a round, after which replicas meet; divides the steps of the job.
    pub inner_steps: u64,
    /// Outer learning rate (NoLoCo's β, DiLoCo's η).
    #[serde(default = "AveragingSpec::rate")]
    pub rate: f32,
    /// Outer momentum [as published: 0.5 for `noloco`, 0.9 for `diloco`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub momentum: Option<f32>,
    /// How far the two of a pair are pulled together (γ); `noloco` alone [as published: the rate].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull: Option<f32>,
    /// How changes of parameters are sent: `f32`, `bf16` or `int8`.
    #[serde(default)]
    pub change: WireFormat,
    /// How anchors are sent; `noloco` alone. Two of them differ by little, which few bits blur.
    #[serde(default)]
    pub anchor: WireFormat,
    /// Seconds that a leader waits for contributions; a follower waits three times as long, each
    /// time. A contribution must get through in them.
    #[serde(default = "AveragingSpec::half_a_minute")]
    pub patience_seconds: u64,
}

/// How replicas meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// In random pairs.
    NoLoCo,
    /// All at once.
    DiLoCo,
}

impl AveragingSpec {
    fn rate() -> f32 {
        0.7
    }

    fn half_a_minute() -> u64 {
        30
    }

    /// The outer step.
    pub fn outer(&self) -> Outer {
        let rate = self.rate;
        match self.method {
            Method::NoLoCo => Outer::NoLoCo {
                momentum: self.momentum.unwrap_or(0.5),
                rate,
                pull: self.pull.unwrap_or(rate),
            },
            Method::DiLoCo => Outer::DiLoCo {
                rate,
                momentum: self.momentum.unwrap_or(0.9),
            },
        }
    }

    pub(super) fn check(&self, steps: u64, microbatches: usize) -> Result<(), WrongValue> {
        let wrong = |key, value: &dyn ToString, allowed| {
            Err(WrongValue::new(key, value.to_string(), allowed))
        };
        if !(2..=MAX_REPLICAS as u32).contains(&self.replicas) {
            return wrong("averaging.replicas", &self.replicas, "from 2 to 256");
        }
        let inner = self.inner_steps;
        if inner == 0 || !steps.is_multiple_of(inner) {
            let allowed = "at least 1, and divide the steps of the job";
            return wrong("averaging.inner_steps", &inner, allowed);
        }
        if !(self.rate > 0.0 && self.rate <= 1.0) {
            return wrong("averaging.rate", &self.rate, "above 0 and at most 1");
        }
        if let Some(momentum) = self.momentum.filter(|one| !(0.0..1.0).contains(one)) {
            return wrong("averaging.momentum", &momentum, "at least 0 and below 1");
        }
        if let Some(pull) = self.pull {
            let allowed = "from 0 to 1 with `noloco`, and left out with `diloco`";
            if !(0.0..=1.0).contains(&pull) || self.method == Method::DiLoCo {
                return wrong("averaging.pull", &pull, allowed);
            }
        }
        if self.method == Method::DiLoCo && self.anchor != WireFormat::F32 {
            let allowed = "left out with `diloco`, which sends no anchors";
            let found = format!("{:?}", self.anchor).to_lowercase();
            return wrong("averaging.anchor", &found, allowed);
        }
        if !(1..=4096).contains(&microbatches) {
            let allowed = "from 1 to 4096 in an averaging job";
            return wrong("batch.microbatches", &microbatches, allowed);
        }
        if !(1..=86_400).contains(&self.patience_seconds) {
            let key = "averaging.patience_seconds";
            return wrong(key, &self.patience_seconds, "from 1 to 86400");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<AveragingSpec, String> {
        let spec: AveragingSpec = toml::from_str(text).map_err(|error| error.to_string())?;
        let checked = spec.check(60, 2);
        checked.map_err(|wrong| format!("{} {}: {}", wrong.key, wrong.value, wrong.allowed))?;
        Ok(spec)
    }

    #[test]
    fn a_bottleneck_has_a_residual_path_unless_told_otherwise() {
        let least = "stages = 2\npeers = 2\n";
        let parse = |more: &str| {
            let text = format!("{least}{more}");
            let spec: PipelineSpec = toml::from_str(&text).unwrap();
            assert_eq!(
                toml::from_str(&toml::to_string(&spec).unwrap()),
                Ok(spec.clone())
            );
            spec.check(4).map(|()| spec.at_boundaries())
        };
        let bottleneck = |residual| Bottleneck {
            compression: 4,
            residual,
        };
        assert_eq!(parse(""), Ok(None));
        assert_eq!(parse("bottleneck = 4"), Ok(Some(bottleneck(true))));
        for residual in [false, true] {
            let text = format!("bottleneck = 4\nbottleneck_residual = {residual}");
            assert_eq!(parse(&text), Ok(Some(bottleneck(residual))));
            let alone = parse(&format!("bottleneck_residual = {residual}"));
            assert_eq!(alone.unwrap_err().key, "pipeline.bottleneck_residual");
        }
    }

    const LEAST: &str = "method = \"noloco\"\nreplicas = 4\ninner_steps = 10\n";

    #[test]
    fn what_is_left_out_is_as_published() {
        assert_eq!(parse(LEAST).unwrap().outer(), Outer::NOLOCO);
        let diloco = LEAST.replace("noloco", "diloco");
        assert_eq!(parse(&diloco).unwrap().outer(), Outer::DILOCO);
        let other = parse(&format!("{LEAST}rate = 0.5\npull = 1\nmomentum = 0\n")).unwrap();
        let expected = Outer::NoLoCo {
            momentum: 0.0,
            rate: 0.5,
            pull: 1.0,
        };
        assert_eq!(other.outer(), expected);
    }

    #[test]
    fn mistakes_name_the_key() {
        let cases = [
            ("noloco", "fedavg", "unknown variant `fedavg`"),
            ("replicas = 4", "replicas = 1", "averaging.replicas 1"),
            ("replicas = 4", "replicas = 257", "from 2 to 256"),
            ("inner_steps = 10", "inner_steps = 0", "at least 1"),
            (
                "inner_steps = 10",
                "inner_steps = 7",
                "averaging.inner_steps 7",
            ),
            (
                "inner_steps = 10",
                "inner_steps = 10\nrate = 0",
                "averaging.rate",
            ),
            (
                "inner_steps = 10",
                "inner_steps = 10\nrate = nan",
                "averaging.rate",
            ),
            (
                "inner_steps = 10",
                "inner_steps = 10\nmomentum = 1",
                "below 1",
            ),
            (
                "inner_steps = 10",
                "inner_steps = 10\npull = 1.5",
                "averaging.pull",
            ),
            (
                "inner_steps = 10",
                "inner_steps = 10\npatience_seconds = 0",
                "86400",
            ),
            (
                "inner_steps = 10",
                "inner_steps = 10\nbeta = 1",
                "unknown field",
            ),
        ];
        for (from, to, expected) in cases {
            let error = parse(&LEAST.replace(from, to)).unwrap_err();
            assert!(error.contains(expected), "{to}: {error}");
        }
        let diloco = LEAST.replace("noloco", "diloco");
        let pull = parse(&format!("{diloco}pull = 0.7\n")).unwrap_err();
        assert!(pull.contains("left out with `diloco`"), "{pull}");
        let anchor = parse(&format!("{diloco}anchor = \"int8\"\n")).unwrap_err();
        assert!(anchor.contains("averaging.anchor int8"), "{anchor}");
    }
}
