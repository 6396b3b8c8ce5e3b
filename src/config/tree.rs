//! The YAML text as a tree whose nodes know their places: text in, a [`Node`] and complaints out.
//!
//! Only maps, lists and scalars are known; anchors, tags and further documents are refused by name. Of a key that is there
//! twice the first one stays. What the keys mean is not known here.

mod slips;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput};

use crate::config::complaint::{Complaints, Path, Place, Severity, Step};

/// How deep maps and lists may be nested; a pipeline needs seven levels.
const DEPTH_MAX: usize = 32;

/// A node of the file.
#[derive(Debug, Clone)]
pub struct Node {
    pub place: Place,
    pub content: Content,
    /// It was complained about; what is left to check takes it as absent without a further word.
    pub pruned: bool,
}

/// What a node holds.
#[derive(Debug, Clone)]
pub enum Content {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A text, number, boolean or nothing.
#[derive(Debug, Clone)]
pub struct Scalar {
    /// As it stands in the file, for messages: never a value of the environment.
    pub written: String,
    /// With variables filled in.
    pub text: String,
    /// Written without quotes, so that it may be a number, a boolean or nothing.
    pub plain: bool,
    pub variables: Variables,
}

/// Whether a scalar held variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variables {
    /// It has none.
    None,
    /// All are filled in.
    Filled,
    /// One at least is missing, and a placeholder stands for it.
    Missing,
}

/// What a scalar is by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plain {
    Nothing,
    Boolean(bool),
    /// A decimal number.
    Number,
    Text,
}

impl Scalar {
    /// Returns what the scalar is: in quotes a text, else by the core schema of YAML 1.2, where `no` and `off` are texts.
    pub fn plain_value(&self) -> Plain {
        match self.text.as_str() {
            _ if !self.plain => Plain::Text,
            "" | "~" | "null" | "Null" | "NULL" => Plain::Nothing,
            "true" | "True" | "TRUE" => Plain::Boolean(true),
            "false" | "False" | "FALSE" => Plain::Boolean(false),
            text if is_number(text) => Plain::Number,
            _ => Plain::Text,
        }
    }
}

fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && unsigned.contains(|c: char| c.is_ascii_digit())
        && text.parse::<f64>().is_ok()
}

/// A key of a map and what stands behind it.
#[derive(Debug, Clone)]
pub struct Entry {
    pub key: String,
    pub place: Place,
    pub node: Node,
}

impl Node {
    /// Returns what a key of this map holds.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.content {
            Content::Map(entries) => entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node),
            _ => None,
        }
    }

    /// Returns the keys of this map.
    pub fn keys(&self) -> Vec<&str> {
        match &self.content {
            Content::Map(entries) => entries.iter().map(|entry| entry.key.as_str()).collect(),
            _ => Vec::new(),
        }
    }

    fn child(&self, step: &Step) -> Option<&Node> {
        match (step, &self.content) {
            (Step::Key(key), _) => self.get(key),
            (Step::Index(index), Content::List(nodes)) => nodes.get(*index),
            _ => None,
        }
    }

    /// Returns the node at a path.
    pub fn at(&self, path: &Path) -> Option<&Node> {
        path.steps().iter().try_fold(self, |node, step| node.child(step))
    }

    /// Takes the node at a path out of what is left to check; `false` where there is none.
    pub fn prune(&mut self, path: &Path) -> bool {
        let found = path.steps().iter().try_fold(self, |node, step| match (step, &mut node.content) {
            (Step::Key(key), Content::Map(entries)) => {
                entries.iter_mut().find(|entry| entry.key == *key).map(|entry| &mut entry.node)
            }
            (Step::Index(index), Content::List(nodes)) => nodes.get_mut(*index),
            _ => None,
        });
        found.map(|node| node.pruned = true).is_some()
    }

    /// Tells whether the node at a path, or one above it, was complained about, or waits for a variable.
    pub fn is_damaged(&self, path: &Path) -> bool {
        let mut node = self;
        for step in path.steps() {
            match node.child(step) {
                Some(child) if child.pruned => return true,
                Some(child) => node = child,
                None => return node.is_missing(),
            }
        }
        node.pruned || node.is_missing()
    }

    /// Returns a scalar as it stands in the file, blank for anything else.
    pub fn written(&self) -> &str {
        match &self.content {
            Content::Scalar(scalar) => &scalar.written,
            _ => "",
        }
    }

    fn is_missing(&self) -> bool {
        matches!(&self.content, Content::Scalar(scalar) if scalar.variables == Variables::Missing)
    }

    /// Returns the place to show for a path: the value of a scalar, else its key, else what is nearest above.
    pub fn place_of(&self, path: &Path) -> Place {
        let mut node = self;
        let mut place = self.place;
        for step in path.steps() {
            let Some(child) = node.child(step) else { break };
            place = match (&child.content, &node.content) {
                (Content::Map(_) | Content::List(_), Content::Map(entries)) => {
                    let holds = |entry: &&Entry| matches!(step, Step::Key(key) if entry.key == *key);
                    entries.iter().find(holds).map_or(child.place, |entry| entry.place)
                }
                _ => child.place,
            };
            node = child;
        }
        place
    }

    /// Returns the place of the key that a path ends with.
    pub fn key_place_of(&self, path: &Path) -> Place {
        let Some((Step::Key(last), _)) = path.steps().split_last() else { return self.place_of(path) };
        let parent = path.parent();
        match self.at(&parent).map(|node| &node.content) {
            Some(Content::Map(entries)) => entries
                .iter()
                .find(|entry| entry.key == *last)
                .map_or_else(|| self.place_of(&parent), |entry| entry.place),
            _ => self.place_of(&parent),
        }
    }

    /// Calls `visit` with every scalar and its path.
    pub fn scalars_mut(&mut self, path: &Path, visit: &mut dyn FnMut(&Path, Place, &mut Scalar)) {
        match &mut self.content {
            Content::Scalar(scalar) => visit(path, self.place, scalar),
            Content::List(nodes) => {
                for (index, node) in nodes.iter_mut().enumerate() {
                    node.scalars_mut(&path.index(index), visit);
                }
            }
            Content::Map(entries) => {
                for entry in entries {
                    entry.node.scalars_mut(&path.key(&entry.key), visit);
                }
            }
        }
    }
}

/// Parses a YAML text; `None` where there is nothing to go on with.
pub fn parse(text: &str, complaints: &mut Complaints) -> Option<Node> {
    complaints.read(text);
    let mut reader = Reader { parser: Parser::new_from_str(text), text, complaints };
    reader.document().unwrap_or_default()
}

/// A complaint was made that ends the reading.
struct Stop;

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    text: &'a str,
    complaints: &'a mut Complaints,
}

impl<'a> Reader<'a> {
    fn document(&mut self) -> Result<Option<Node>, Stop> {
        let mut node = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => {
                    if node.is_none() {
                        self.refuse(Place::START, &Path::root(), "the file is empty", "start with `version: 1`");
                    }
                    return Ok(node);
                }
                Event::DocumentStart(_) if node.is_some() => {
                    let hint = "one file holds one pipeline; remove the `---`";
                    self.refuse(place(span), &Path::root(), "a second document begins here", hint);
                    return Err(Stop);
                }
                Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
                event => node = Some(self.node(event, span, &Path::root())?),
            }
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, path: &Path) -> Result<Node, Stop> {
        let place = place(span);
        if path.steps().len() > DEPTH_MAX {
            self.refuse(place, path, "is nested too deeply", "a pipeline needs seven levels at most");
            return Err(Stop);
        }
        let mut pruned = false;
        let (anchor, tag) = match &event {
            Event::Scalar(_, _, anchor, tag) | Event::SequenceStart(anchor, tag) | Event::MappingStart(anchor, tag) => {
                (*anchor, tag.is_some())
            }
            _ => (0, false),
        };
        if anchor > 0 {
            self.refuse(
                place,
                path,
                "anchors are not used here",
                "write the value where it is needed, or in `defaults`",
            );
        }
        if tag {
            self.refuse(place, path, "tags are not used here", "a text stands in quotes");
            pruned = true;
        }
        let content = match event {
            Event::Scalar(text, style, ..) => Content::Scalar(Scalar {
                written: text.clone().into_owned(),
                text: text.into_owned(),
                plain: style == ScalarStyle::Plain,
                variables: Variables::None,
            }),
            Event::SequenceStart(..) => Content::List(self.list(path)?),
            Event::MappingStart(..) => Content::Map(self.map(path)?),
            Event::Alias(_) => {
                let hint = "write the value where it is needed, or in `defaults`";
                self.refuse(place, path, "aliases are not used here", hint);
                pruned = true;
                Content::List(Vec::new())
            }
            _ => return Err(Stop),
        };
        Ok(Node { place, content, pruned })
    }

    fn list(&mut self, path: &Path) -> Result<Vec<Node>, Stop> {
        let mut nodes = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(nodes),
                (event, span) => nodes.push(self.node(event, span, &path.index(nodes.len()))?),
            }
        }
    }

    fn map(&mut self, path: &Path) -> Result<Vec<Entry>, Stop> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            let place = place(span);
            let key = match event {
                Event::MappingEnd => return Ok(entries),
                Event::Scalar(key, ..) => key.into_owned(),
                other => {
                    self.refuse(place, path, "a key is one word here", "a text in braces needs quotes");
                    self.node(other, span, path)?;
                    let (event, span) = self.next()?;
                    self.node(event, span, path)?;
                    continue;
                }
            };
            let child = path.key(&key);
            let (event, span) = self.next()?;
            let node = self.node(event, span, &child)?;
            match entries.iter().find(|entry| entry.key == key) {
                Some(Entry { place: Place { line, column }, .. }) => {
                    let message = format!("`{key}` is here a second time, first at line {line}, column {column}");
                    let hint = "one of the two has to go".to_owned();
                    self.complaints.add(Severity::Error, place, &child, message, Some(hint));
                }
                None => entries.push(Entry { key, place, node }),
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Stop> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => {
                self.scan_error(&error);
                Err(Stop)
            }
            None => Err(Stop),
        }
    }

    fn scan_error(&mut self, error: &ScanError) {
        let place = Place { line: error.marker().line().max(1), column: error.marker().col() + 1 };
        let (place, hint) = slips::explain(self.text, place, error.info());
        let message = format!("does not parse as YAML: {}", error.info());
        self.complaints.add(Severity::Error, place, &Path::root(), message, Some(hint));
    }

    fn refuse(&mut self, place: Place, path: &Path, message: &str, hint: &str) {
        self.complaints.add(Severity::Error, place, path, message.to_owned(), Some(hint.to_owned()));
    }
}

fn place(span: Span) -> Place {
    Place { line: span.start.line(), column: span.start.col() + 1 }
}
