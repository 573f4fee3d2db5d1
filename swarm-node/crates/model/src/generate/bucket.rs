//! How requests are cut into rows, and sizes into few distinct ones, so that few programs serve all
//! requests.

use super::request::Request;

/// Most rows of a batch.
pub const MAX_ROWS: usize = 128;

/// One completion to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// Number of its prompt in the request.
    pub(super) prompt: usize,
    /// Which of the prompt's samples.
    pub(super) sample: u32,
}

/// All completions of a request, those of long prompts first: rows of a batch then need caches of
/// about one length.
pub(super) fn rows(request: &Request<'_>) -> Vec<Row> {
    let mut order: Vec<usize> = (0..request.prompts.len()).collect();
    order.sort_by_key(|&prompt| std::cmp::Reverse(request.prompts[prompt].tokens.len()));
    let samples = |prompt| (0..request.samples).map(move |sample| Row { prompt, sample });
    order.into_iter().flat_map(samples).collect()
}

/// Rows of the program that serves `rows` rows: the next power of two.
pub(super) fn round_rows(rows: usize) -> usize {
    rows.next_power_of_two()
}

/// Slots of the program that serves sequences of `length` tokens: steps of 32 up to 256, of 256
/// above, never more than the model's positions.
pub(super) fn round_length(length: usize, max_positions: usize) -> usize {
    let step = if length <= 256 { 32 } else { 256 };
    length.max(1).next_multiple_of(step).min(max_positions)
}

#[cfg(test)]
mod tests {
    use super::super::request::Prompt;
    use super::*;

    #[test]
    fn sizes_are_few_and_large_enough() {
        let lengths: Vec<usize> = [0, 1, 32, 33, 256, 257, 1000]
            .map(|length| round_length(length, 900))
            .to_vec();
        assert_eq!(lengths, [32, 32, 32, 64, 256, 512, 900]);
        assert_eq!([1, 2, 3, 128].map(round_rows), [1, 2, 4, 128]);
    }

    #[test]
    fn every_completion_is_one_row() {
        let prompt = |length| Prompt {
            tokens: vec![0; length],
            index: 0,
        };
        let prompts = [prompt(2), prompt(5), prompt(5)];
        let request = Request {
            prompts: &prompts,
            samples: 2,
            max_new: 1,
            key: [0; 2],
            temperature: 1.0,
        };
        let rows: Vec<(usize, u32)> = rows(&request)
            .iter()
            .map(|row| (row.prompt, row.sample))
            .collect();
        assert_eq!(rows, [(1, 0), (1, 1), (2, 0), (2, 1), (0, 0), (0, 1)]);
    }
}
