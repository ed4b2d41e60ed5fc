"""Recognises by an error's text that a conversation is too long, where no code says so.

Every server words it differently and no list is complete, so the patterns follow how such
sentences are built: what is too long, and that it is. All gaps have a bound, so that the time is
linear in a text's length.
"""

import re

_FLAGS = re.IGNORECASE | re.ASCII

_MAX_TOKENS = r"max(?:imum)?[ _-]?(?:(?:new|completion|output)[ _-])?tokens"
_LENGTH = r"(?:length|len|size|windows?|limits?|tokens?|token count)"
# The words that may come between the input and "too long".
_BETWEEN = (
    r"(?:[\s`'\"(),=:-]{0,3}(?:is|are|was|has|have|with|contains?|and|of|which|that|it|you|sent|submitted|the|this|your|our|total|"
    r"number|text|by|string|count|cannot|must|should|not|may|exceeded|length|len|size|window|limit|"
    r"tokens?|token|messages?|input|prompt|context|draft|model|requested|estimated|current|"
    r"at least|[\d,.]{1,12})\b){0,12}"
)
_TOO_LONG = (
    r"(?:exceed(?:s|ed|ing)?\b|too (?:long|large|big|many)|(?:longer|greater|larger|bigger|more)"
    r" than|overflow|over the|out of range|surpass"
    r"|(?:do(?:es)? not|doesn't|won't) fit)"
)
_INPUT = (
    r"(?:context|prompt|input(?! validation)|inputs|conversation|chat history|messages|sequence"
    r"|message|total tokens|token count|requested tokens|number of tokens|your request)"
)

# These apply whatever else the text says.
_CERTAIN = re.compile(
    "|".join(
        (
            # Anthropic, TGI: the sum of input and output.
            rf"(?:input|prompt|inputs|messages)\b[^.\n]{{0,40}}(?:and|\+|plus)[^.\n]{{0,12}}"
            rf"{_MAX_TOKENS}`? ?(?:exceed|must be|>)",
            rf"\binputs?`? (?:tokens \+ `?{_MAX_TOKENS}|must have (?:less|fewer) than)",
            # vLLM, whose default for the output is what the input leaves over.
            rf"{_MAX_TOKENS} must be at least 1, got -",
            r"messages?(?:\[\d{1,6}\])?(?:\.content)?'?:? (?:string|array) too long",
            r"'(?:input|prompt)': (?:string|array) too long",
            r"tokens of image and text exceed|number of input and max(?:imum)? output tokens",
            r"max(?:imum)? tokens of \d{1,9} exceeded",
        )
    ),
    _FLAGS,
)

# Limits of other kinds, which a shorter conversation does not solve.
_OTHER_LIMIT = re.compile(
    "|".join(
        (
            r"\bper[ _-]?(?:minute|min|day|hour|second|month)\b|\b[TR]P[MD]\b|rate[ _-]?limit",
            r"please wait|throttl|too many requests|quota|\b(?:daily|weekly|monthly|hourly)\b",
            r"\b(?:plan|subscription|billing|credits?)\b|insufficient",
            # The output is too long, not the input.
            rf"{_MAX_TOKENS}['\"`]?(?: (?:or|and) ['\"`]?{_MAX_TOKENS}['\"`]?)?[\s:(]{{1,3}}"
            r"(?:\w{1,12} ){0,3}?(?:too (?:large|big|high)|must|should|cannot|exceed|at most|"
            r"larger|greater|less)",
            r"(?:completion|output|new|generated) tokens[^.\n]{0,40}(?:at most|too (?:large|many)"
            r"|exceed)|max(?:imum)? (?:output|completion) tokens",
            r"(?:supports?|allows?) (?:at most|up to|only) [\d,]{1,12} (?:completion|output)",
            r"(?:string|array|name|description|value) (?:is )?too long|above_max_length",
            r"(?:image|audio|video|file|attachment|document|pdf)s?\b[^.\n]{0,60}"
            r"(?:exceed|too (?:large|long|many|big)|maximum size|size limit)",
            r"(?:tool|function|argument|schema|header|stop sequence)s?\b[^.\n]{0,40}"
            r"(?:exceed|too (?:large|long|many))",
        )
    ),
    _FLAGS,
)

_TOO_LONG_WORDS = re.compile(
    "|".join(
        (
            rf"\b{_INPUT}{_BETWEEN}[\s`'\"(),=:-]{{0,3}}{_TOO_LONG}",
            rf"{_TOO_LONG}[^.\n]{{0,60}}(?:context|max_(?:seq|model|input|position|prompt|num)"
            rf"|\b(?:prompt|input|sequence|model|token) {_LENGTH}\b|allowed (?:input )?{_LENGTH}"
            r"|max(?:imum)? (?:input |number of )(?:tokens|length))",
            rf"max(?:imum)? (?:allowed )?(?:context|prompt|input|model|sequence) {_LENGTH}"
            r"[^\n]{0,80}\d",
            r"too (?:large|long|big) for (?:[\w-]{1,40} ){0,4}(?:model|context)",
            r"context length (?:is|of) only|context size has been|slot unavailable",
            r"reduce (?:the (?:length|size|number) of )?(?:the |your )?(?:messages?|input|prompt"
            r"|conversation|context)\b|(?:shorten|truncate) (?:the |your )?(?:messages?|input"
            r"|prompt|conversation)|(?:shorter|smaller) (?:input|prompt|conversation|messages?)",
            r"range of input length|input token count|too many (?:input |prompt )?tokens",
            r"more than max tokens allowed",
            r"(?:context|prompt|input)_\w{0,24}(?:exceed|too_long)",
            r"prompt has [\d,]{1,12} tokens?, but|trying to keep the first \d{1,9} tokens",
            r"request (?:payload|body|entity)(?: size)? (?:exceeds|too large)|splited_prompt_len",
            r"max(?:imum)? (?:input )?(?:size|characters)(?: is|:) [\d,]{1,12}",
            r"expected maxlength: \d{1,9}, actual: \d|reached context length|middle-out",
            # Chinese servers.
            r"(?:上下文|输入|提示词|对话|消息|文本|长度|tokens?)[^。\n]{0,20}(?:过长|超长|超过|超出|太长)",
        )
    ),
    _FLAGS,
)


# A longer text is the echo of a request, with the error's sentence at one of its ends.
_HEAD, _TAIL = 3000, 1000


def says_too_long(text: str) -> bool:
    """Whether an error's text means that the conversation is longer than the model reads."""
    if len(text) > _HEAD + _TAIL:
        text = f"{text[:_HEAD]}\n{text[-_TAIL:]}"
    if _CERTAIN.search(text):
        return True
    return _TOO_LONG_WORDS.search(text) is not None and _OTHER_LIMIT.search(text) is None
