"""The front matter of a hub card: YAML between two `---` lines, every scalar kept as written."""

import re
from dataclasses import dataclass
from typing import TypeAlias

import yaml

from ghostnet.errors import CardError

Value: TypeAlias = "str | list[Value] | dict[str, Value]"
Place: TypeAlias = tuple[str | int, ...]

MAX_CHARACTERS = 768 * 1024
MAX_DEPTH = 8

FENCE = re.compile(r"---[ \t]*")

# Measures are free text ("-", "vit-base: 83.78 / swin-base: 84.03") that is not valid YAML.
MEASURE = re.compile(r"^(accuracy|evaluation):[ \t]+(-|[\w.][^\n]*: [^\n]*)$", re.MULTILINE)

# An asset with two links and no hash stands for two assets of the same format.
SECOND_LINK = re.compile(
    r"^(- file-format: (\w+)\s+asset-link: \S+\s*\n)[ \t]+asset-link: (\S+)$", re.MULTILINE
)

# Chinese cards use these names, followed by a full-width colon.
CHINESE_NAMES = {
    "模型名称": "model-name",
    "骨干网络": "backbone-name",
    "模块类型": "module-type",
    "可微调": "fine-tunable",
    "输入形状": "input-shape",
    "模型版本": "model-version",
    "训练数据集": "train-dataset",
    "准确率": "accuracy",
    "作者": "author",
    "更新时间": "update-time",
    "代码仓链接": "repo-link",
    "用户ID": "user-id",
    "用途": "used-for",
    "训练后端": "train-backend",
    "推理后端": "infer-backend",
    "MindSpore版本": "mindspore-version",
    "MindSpore Lite": "mindspore-lite",
    "mAP": "mAP",
    "资源": "asset",
    "文件格式": "file-format",
    "资源链接": "asset-link",
    "资源SHA256校验码": "asset-sha256",
    "许可证": "license",
    "摘要": "summary",
}
CHINESE_FIELD = re.compile(rf"^([ \t-]*)({'|'.join(CHINESE_NAMES)})：[ \t]*", re.MULTILINE)


@dataclass(frozen=True)
class FrontMatter:
    """The front matter of a card.

    Attributes:
        values: Fields between the fences.
        lines: Line of each value in the file, counted from 1.
        body: Text behind the second fence.
    """

    values: dict[str, Value]
    lines: dict[Place, int]
    body: str

    def line(self, place: Place) -> int:
        """Return the line, counted from 1, of the value at `place`, or of its parent."""
        while place not in self.lines:
            place = place[:-1]
        return self.lines[place]


def read_front_matter(text: str, source: str) -> FrontMatter:
    """Split a card into front matter and body.

    Args:
        text: The whole card.
        source: What errors call the card.

    Raises:
        CardError: There is no front matter, or a line of it is malformed.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    fences = [number for number, line in enumerate(lines) if FENCE.fullmatch(line)][:2]
    if len(fences) < 2:
        where = f"line {fences[0] + 1}" if fences else f"line {len(lines)}"
        raise CardError(
            f"{source}, {where}: front matter: it stands between two lines of ---, and this card "
            f"has {len(fences) or 'none'}"
        )
    first, last = fences
    values, places = _Reader(source, first + 2).read("\n".join(lines[first + 1 : last]))
    return FrontMatter(values, places | {(): first + 1}, "\n".join(lines[last + 1 :]))


def _as_yaml(text: str) -> str:
    """Rewrite what real cards contain and YAML does not allow; no line moves."""
    text = CHINESE_FIELD.sub(lambda match: f"{match[1]}{CHINESE_NAMES[match[2]]}: ", text)
    text = SECOND_LINK.sub(r"\1- {file-format: \2, asset-link: '\3'}", text)
    return MEASURE.sub(lambda match: f"{match[1]}: {_quoted(match[2])}", text)


def _quoted(text: str) -> str:
    return "'" + text.strip().replace("'", "''") + "'"


class _BoundedLoader(yaml.SafeLoader):
    """Refuses aliases and deep nesting, by which a small input could grow large."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(
                problem="an alias is not allowed", problem_mark=self.get_mark()
            )
        if self.depth == MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem="nested too deeply", problem_mark=self.get_mark())
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


class _Reader:
    """Reads YAML text into plain values and notes the line of each."""

    def __init__(self, source: str, first_line: int) -> None:
        self.source = source
        self.first_line = first_line
        self.lines: dict[Place, int] = {}

    def read(self, text: str) -> tuple[dict[str, Value], dict[Place, int]]:
        if len(text) > MAX_CHARACTERS:
            raise self._error(
                0, f"front matter: {len(text):,} characters are more than {MAX_CHARACTERS:,}"
            )
        values = self._plain(self._compose(text), ())
        if not isinstance(values, dict):
            raise self._error(0, "front matter: there are no lines of `field: value`")
        return values, self.lines

    def _compose(self, text: str) -> yaml.Node:
        try:
            node = yaml.compose(_as_yaml(text), Loader=_BoundedLoader)
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line if error.problem_mark else 0
            raise self._error(line, f"{_field_at(text, line)}: {error.problem}") from None
        except yaml.reader.ReaderError as error:
            line = text.count("\n", 0, error.position)
            raise self._error(line, f"{_field_at(text, line)}: {error.reason}") from None
        except (ValueError, OverflowError) as error:  # escapes and directives beyond Python's range
            raise self._error(0, f"front matter: not YAML: {error}") from None
        if node is None:
            raise self._error(0, "front matter: there are no lines of `field: value`")
        return node

    def _plain(self, node: yaml.Node, place: Place) -> Value:
        self.lines[place] = self.first_line + node.start_mark.line
        if isinstance(node, yaml.SequenceNode):
            return [self._plain(item, (*place, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place)
        return str(node.value)

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Value]:
        values: dict[str, Value] = {}
        for key, value in node.value:
            line = key.start_mark.line
            if not isinstance(key, yaml.ScalarNode):
                raise self._error(line, "front matter: a field name must be text, not a collection")
            if key.value in values:
                raise self._error(line, f"{key.value}: this field is given twice")
            values[key.value] = self._plain(value, (*place, key.value))
            self.lines[(*place, key.value)] = self.first_line + line
        return values

    def _error(self, line: int, problem: str) -> CardError:
        return CardError(f"{self.source}, line {self.first_line + line}: {problem}")


def _field_at(text: str, line: int) -> str:
    """Guess the field that a line of front matter belongs to."""
    for candidate in reversed(text.split("\n")[: line + 1]):
        if match := re.match(r"[ \t]*(?:- +)?([\w-]+)[ \t]*[:：]", candidate):
            return match[1]
    return "front matter"
