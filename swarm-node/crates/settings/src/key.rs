//! What a setting is, before it has a value.

use super::value::Kind;

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Section and name, `demo.rounds`.
    pub name: &'static str,
    /// The default, as it would stand in a flag.
    pub default: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// The field's documentation, as written; [`Key::help`] is for people.
    pub documentation: &'static str,
}

impl Key {
    /// What it is, with the unit, as one sentence without its full stop.
    pub fn help(&self) -> &'static str {
        self.documentation.trim().trim_end_matches('.')
    }

    /// Section and name apart: `demo`, `rounds`.
    pub fn parts(&self) -> (&'static str, &'static str) {
        #[expect(clippy::expect_used, reason = "`section!` puts a dot into every name")]
        self.name
            .split_once('.')
            .expect("invariant: a key is named section.name")
    }
}

/// All settings of a program.
#[derive(Clone, Copy, Debug)]
pub struct Schema {
    /// The keys of each section, in the order in which they are shown.
    pub sections: &'static [&'static [Key]],
    /// Variables with the prefix that are no settings, as those that carry secrets: no command ever
    /// shows them.
    pub reserved: &'static [&'static str],
}

impl Schema {
    /// Every key, section by section.
    pub fn keys(self) -> impl Iterator<Item = &'static Key> {
        self.sections.iter().flat_map(|section| section.iter())
    }

    /// The key of a name.
    pub fn find(self, name: &str) -> Option<&'static Key> {
        self.keys().find(|key| key.name == name)
    }
}
