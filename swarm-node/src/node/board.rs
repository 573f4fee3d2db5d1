//! Where a node's events are shown: its log, and whoever listens to the event stream.

use tokio::sync::broadcast;

use super::event::{Happening, NodeEvent, Weight};

/// Events that a slow listener may be behind before it loses the oldest.
const LISTENERS_LAG: usize = 1024;

/// Shows events. Clones show to the same listeners.
#[derive(Clone, Debug)]
pub struct Board {
    listeners: broadcast::Sender<Happening>,
}

impl Default for Board {
    fn default() -> Self {
        Self {
            listeners: broadcast::channel(LISTENERS_LAG).0,
        }
    }
}

impl Board {
    /// Events from here on.
    pub fn listen(&self) -> broadcast::Receiver<Happening> {
        self.listeners.subscribe()
    }

    /// Shows an event.
    pub fn show(&self, happening: Happening) {
        log(&happening.event);
        // Without listeners there is nobody to tell.
        let _ = self.listeners.send(happening);
    }
}

fn log(event: &NodeEvent) {
    match event.weight() {
        Weight::Detail => tracing::debug!("{event}"),
        Weight::Usual => tracing::info!("{event}"),
        Weight::Warning => tracing::warn!("{event}"),
    }
}
