//! A YAML document as a tree in which every key and value knows its line.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput};

/// Nesting beyond which a file is refused; etcd's deepest key is four levels down.
const DEEPEST: usize = 16;

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    /// Line, from one.
    pub(crate) line: usize,
    /// The value.
    pub(crate) content: Content,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// A word or a number; quoted ones are never null or a switch.
    Scalar {
        /// The text without its quotes.
        text: String,
        /// Whether it stood without quotes.
        plain: bool,
    },
    /// A list.
    List(Vec<Node>),
    /// Keys, their lines, and their values, in the order of the file.
    Map(Vec<(String, usize, Node)>),
}

impl Node {
    /// Whether it is nothing: `key:`, `~` or `null`.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.content, Content::Scalar { text, plain: true }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }
}

/// What is wrong with a document, and in which line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct YamlError {
    /// Line, from one.
    pub(crate) line: usize,
    /// The fault.
    pub(crate) text: String,
}

impl YamlError {
    fn at(span: Span, text: &str) -> Self {
        Self { line: span.start.line(), text: text.into() }
    }
}

impl From<ScanError> for YamlError {
    fn from(error: ScanError) -> Self {
        Self { line: error.marker().line(), text: error.info().into() }
    }
}

/// Reads the one document of a file; an empty file is an empty map.
///
/// # Errors
/// The first fault of syntax, with its line.
pub(crate) fn parse(text: &str) -> Result<Node, YamlError> {
    let mut reader = Reader { parser: Parser::new_from_str(text), anchors: HashMap::new() };
    let mut document = None;
    loop {
        let (event, span) = reader.next()?;
        match event {
            Event::StreamEnd => break,
            Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
            _ if document.is_some() => {
                return Err(YamlError::at(span, "more than one document in the file"));
            }
            event => document = Some(reader.node(event, span, 0)?),
        }
    }
    Ok(document.unwrap_or(Node { line: 1, content: Content::Map(Vec::new()) }))
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    anchors: HashMap<usize, Node>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), YamlError> {
        let end = Span::default();
        Ok(self.parser.next_event().transpose()?.unwrap_or((Event::StreamEnd, end)))
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, YamlError> {
        if depth > DEEPEST {
            return Err(YamlError::at(span, "nested too deeply"));
        }
        let line = span.start.line();
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let plain = style == ScalarStyle::Plain;
                let content = Content::Scalar { text: text.into_owned(), plain };
                let node = Node { line, content };
                if anchor > 0 {
                    self.anchors.insert(anchor, node.clone());
                }
                Ok(node)
            }
            Event::SequenceStart(..) => self.list(line, depth),
            Event::MappingStart(..) => self.map(line, depth),
            Event::Alias(anchor) => self.anchors.get(&anchor).cloned().ok_or_else(|| {
                YamlError::at(span, "only words and numbers may be repeated by an alias")
            }),
            _ => Err(YamlError::at(span, "a value is missing")),
        }
    }

    fn list(&mut self, line: usize, depth: usize) -> Result<Node, YamlError> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Node { line, content: Content::List(items) }),
                (event, span) => items.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn map(&mut self, line: usize, depth: usize) -> Result<Node, YamlError> {
        let mut entries = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(Node { line, content: Content::Map(entries) });
            }
            let key = self.node(event, span, depth + 1)?;
            let Content::Scalar { text, .. } = key.content else {
                return Err(YamlError::at(span, "a key must be a word"));
            };
            let (event, span) = self.next()?;
            entries.push((text, key.line, self.node(event, span, depth + 1)?));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scalar(line: usize, text: &str, plain: bool) -> Node {
        Node { line, content: Content::Scalar { text: text.into(), plain } }
    }

    #[test]
    fn every_node_knows_its_line() {
        let text = "# a comment\nname: x\n\nouter:\n  inner: \"5\"\nlist: [a,\n  b]\n\
                    later: &n 7\nagain: *n\n";
        let Ok(Node { content: Content::Map(entries), .. }) = parse(text) else {
            panic!("no map");
        };
        let lines: Vec<_> = entries.iter().map(|(key, line, _)| (key.as_str(), *line)).collect();
        assert_eq!(lines, [("name", 2), ("outer", 4), ("list", 6), ("later", 8), ("again", 9)]);
        assert_eq!(entries[0].2, scalar(2, "x", true));
        assert_eq!(
            entries[1].2.content,
            Content::Map(vec![("inner".into(), 5, scalar(5, "5", false))])
        );
        assert_eq!(
            entries[2].2.content,
            Content::List(vec![scalar(6, "a", true), scalar(7, "b", true)])
        );
        assert_eq!(entries[4].2, scalar(8, "7", true));
    }

    #[test]
    fn json_is_yaml_and_nothing_is_an_empty_map() {
        assert!(
            matches!(parse("{\"name\": \"x\"}").map(|n| n.content), Ok(Content::Map(m)) if m.len() == 1)
        );
        assert_eq!(parse("# nothing\n").map(|n| n.content), Ok(Content::Map(Vec::new())));
        assert!(
            parse("a: ~").is_ok_and(|n| matches!(n.content, Content::Map(m) if m[0].2.is_null()))
        );
    }

    #[test]
    fn faults_of_syntax_name_their_line() {
        for (text, line) in [
            ("a: 1\nb: [x", 3),
            ("a: 1\n---\nb: 2\n", 3),
            ("[a]: 1\n", 1),
            ("a: &x [1]\nb: *x\n", 2),
        ] {
            assert_eq!(parse(text).map_err(|error| error.line), Err(line), "{text:?}");
        }
        assert!(parse(&"[".repeat(100)).is_err());
    }
}
