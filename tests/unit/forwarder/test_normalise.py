"""
The event n8n receives, for every sample of Avito's payloads.
"""

from __future__ import annotations

import json
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forwarder import chat as chats
from forwarder import webhook
from forwarder.chat import Ad, Chat
from forwarder.normalise import Surroundings, encode, normalise

PAYLOADS = Path(__file__).parents[2] / "payloads"
ACCOUNT = "353000001"
CUSTOMER = "121000002"
IMAGE = "https://img.k.avito.ru/chat/1280x960/5083651369.3e798a9bf88345ae8fe85ff891266b24.jpg"
VOICE_ID = "00000000-0000-4000-8000-000000000000"
NO_MEDIA: dict[str, object] = {
    "has_voice": False,
    "voice_url": None,
    "voice_transcribed_text": None,
    "has_images": False,
    "images": [],
    "has_video": False,
    "videos": [],
    "has_document": False,
}

Json = dict[str, object]


def sample(name: str) -> object:
    """
    Read one sample.
    """
    return json.loads((PAYLOADS / f"{name}.json").read_text(encoding="utf-8"))


def event(
    message: Json,
    *,
    envelope: Json,
    text: str,
    timestamp: str,
    author: str = CUSTOMER,
    ad_id: str | None = None,
    media: Json | None = None,
) -> Json:
    """
    Write down the whole event expected for a webhook whose value is `message`, in UTC, with nothing looked up.
    """
    return {
        "channel": "avito",
        "external_user_id": author,
        "external_chat_id": message["chat_id"],
        "text": text,
        "timestamp": timestamp,
        "client_name": None,
        "client_phone": None,
        "client_email": None,
        "user_id": ACCOUNT,
        "media": NO_MEDIA | (media or {}),
        "meta": {
            "external_message_id": message["id"],
            "ad_id": ad_id,
            "original_media_type": message["type"],
            "ad_channel": "avito",
            "chat_type": message.get("chat_type"),
            "user_id": ACCOUNT,
            "webhook_id": envelope["id"],
            "webhook_timestamp": envelope["timestamp"],
            "occurred_at": f"{timestamp}+00:00",
            "sequence": "1754916287001-0",
            "ad": None,
            "raw": message,
        },
        "prefilled_data": {"model": None, "parts_owner": None},
    }


def around(**changes: object) -> Surroundings:
    """
    Return what the tests' events have around them.
    """
    known: Json = {
        "user_id": ACCOUNT,
        "sequence": "1754916287001-0",
        "message_id": "entry-id",
        "chat_id": "entry-chat",
        "received_ms": 1754916287001,
        "zone": ZoneInfo("UTC"),
    }
    return Surroundings(**known | changes)  # type: ignore[arg-type]


def normalised(found: object, **changes: object) -> Json:
    """
    Send a webhook through reading, normalising and encoding.
    """
    message = webhook.read(json.dumps(found))
    assert message is not None
    read: Json = json.loads(encode(normalise(message, around(**changes))))
    return read


# name of the sample -> text, timestamp, author, ad
REAL_WEBHOOKS = {
    "01_webhook_v3_text_in_2023": ("Я оплатил через авито", "2023-09-04T12:40:55", CUSTOMER, "3363700001"),
    "02_webhook_v3_text_in_2025_published_at": ("123", "2025-08-11T12:44:44", CUSTOMER, "7463700001"),
    "03_webhook_v3_echo_own_message_2025": ("Здравствуйте!", "2025-05-29T08:56:17", ACCOUNT, "7395100001"),
    "04_webhook_v3_echo_own_multiline_2024": (
        (
            "Добрый день.\n Благодарим за обращение. Заявка получена, специалист скоро свяжется с Вами.\n"
            " Как к Вам можно обращаться (фио) \n Номер телефона \n VIN или артикул"
        ),
        "2024-03-13T12:52:42",
        ACCOUNT,
        "3689300001",
    ),
    "22_webhook_item_content_variant": ("Объявление", "2025-08-11T12:44:44", CUSTOMER, "7463700001"),
}


@pytest.mark.parametrize("name", REAL_WEBHOOKS)
def test_each_webhook_sample_becomes_its_event(name: str) -> None:
    """
    A webhook as Avito sends it becomes the event of the contract, field by field.
    """
    found = sample(name)
    assert isinstance(found, dict)
    text, timestamp, author, ad_id = REAL_WEBHOOKS[name]

    expected = event(
        found["payload"]["value"], envelope=found, text=text, timestamp=timestamp, author=author, ad_id=ad_id
    )

    assert expected == normalised(found)


# type -> text and media, as content is the same in samples 20 and 21
BY_TYPE: dict[str, tuple[str, Json]] = {
    "text": ("привет!", {}),
    "image": ("", {"has_images": True, "images": [{"url": IMAGE}]}),
    "link": ("habr.com", {}),
    "item": ("Объявление", {}),
    "location": ("Москва, Варшавское шоссе", {}),
    "call": ("", {}),
    "voice": ("", {"has_voice": True}),
    "system": ("…", {}),
    "appCall": ("", {}),
    "file": ("", {"has_document": True}),
    "video": ("", {"has_video": True}),
    "deleted": ("", {}),
}


@pytest.mark.parametrize("number", range(12))
def test_each_type_of_webhook_becomes_its_event(number: int) -> None:
    """
    Every type of message keeps its words as text and its files as media.
    """
    samples = sample("21_webhook_v3_all_types_synthetic")
    assert isinstance(samples, list)
    assert list(BY_TYPE) == [found["payload"]["value"]["type"] for found in samples]
    found = samples[number]
    message = found["payload"]["value"]
    text, media = BY_TYPE[message["type"]]

    expected = event(
        message,
        envelope=found,
        text=text,
        timestamp="2025-08-11T12:44:44",
        author="0" if message["type"] == "system" else CUSTOMER,
        ad_id="7463700001",
        media=media,
    )

    assert expected == normalised(found)


LINK = (
    "https://www.avito.ru/moskva/bytovaya_tehnika/mashinka_dlya_strizhki_3834100001"
    "?utm_campaign=native&utm_medium=item_page_android&utm_source=soc_sharing"
)
SYSTEM_TEXTS = [message["content"]["text"] for message in sample("09_message_system_2024")]  # type: ignore[attr-defined]

# A message as a chat lists it has no account and no chat in it: sample, number in it -> text, timestamp, author
LISTED: list[tuple[str, int, str, str, str]] = [
    ("07_message_text_in_unread_2024", 0, ".", "2024-05-10T19:03:00", "301000003"),
    ("08_message_text_out_read_2024", 0, "Hello world", "2024-04-15T20:41:35", ACCOUNT),
    ("09_message_system_2024", 0, SYSTEM_TEXTS[0], "2024-03-18T10:22:07", "0"),
    ("09_message_system_2024", 1, SYSTEM_TEXTS[1], "2024-03-06T18:53:34", "0"),
    ("10_message_link_with_preview_2024", 0, LINK, "2024-03-07T07:50:52", ACCOUNT),
    ("19_messages_v3_envelope_observed", 0, "Hello world", "2024-04-15T20:41:35", ACCOUNT),
    *(
        ("20_messages_all_types_from_spec", number, text, "2019-10-21T10:34:00", "94235311")
        for number, text in enumerate([*(text for text, _ in BY_TYPE.values()), "ответ"])
    ),
]


@pytest.mark.parametrize(("name", "number", "text", "timestamp", "author"), LISTED)
def test_each_listed_message_becomes_its_event(name: str, number: int, text: str, timestamp: str, author: str) -> None:
    """
    A message that was read from its chat, as one whose webhook was lost, becomes the same event.
    """
    found = sample(name)
    if isinstance(found, dict) and "messages" in found:
        found = found["messages"]
    message = found[number] if isinstance(found, list) else found
    assert isinstance(message, dict)
    envelope = {"id": "e", "timestamp": 1754916287, "payload": {"type": "message", "value": message}}
    media = BY_TYPE[message["type"]][1] if name.startswith("20") else {}

    expected = event(
        message | {"chat_id": "entry-chat"},
        envelope=envelope,
        text=text,
        timestamp=timestamp,
        author=author,
        media=media,
    )
    expected["meta"]["raw"] = message  # type: ignore[index]

    assert expected == normalised(envelope)


def test_every_other_sample_passes_as_unknown() -> None:
    """
    Answers of the API are no webhooks: sent to the webhook they still become events that keep everything.
    """
    for path in sorted(PAYLOADS.glob("*.json")):
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict) or "payload" in found:
            continue
        got = normalised(found)
        meta = got["meta"]
        assert isinstance(meta, dict)
        assert ("unknown", found, "entry-chat") == (meta["original_media_type"], meta["raw"], got["external_chat_id"])


def test_an_unknown_payload_type_names_itself() -> None:
    """
    A kind of webhook that Avito does not send yet passes with its own type and all it carries.
    """
    got = normalised({"id": "w", "timestamp": 1, "payload": {"type": "typing", "value": {"chat_id": "c"}}})
    meta = got["meta"]
    assert isinstance(meta, dict)

    assert (meta["original_media_type"], meta["raw"]) == ("typing", {"chat_id": "c"})


@pytest.mark.parametrize(
    ("name", "chat_sample", "client", "ad"),
    [
        (
            "01_webhook_v3_text_in_2023",
            "05_chat_v2_detail_2023",
            "Иван",
            {
                "title": "Ролик обводной A0000000000",
                "url": "https://avito.ru/sankt-peterburg/zapchasti_i_aksessuary/rolik_obvodnoy_3363700001",
                "price": "3\u00a0873 ₽",
            },
        ),
        (
            "02_webhook_v3_text_in_2025_published_at",
            "06_chat_v2_detail_2025_stub_avatars",
            "Анна",
            {
                "title": "Детский автомобиль электрический",
                "url": "https://avito.ru/ekaterinburg/tovary_dlya_detey_i_igrushki/"
                "detskiy_avtomobil_elektricheskiy_7463700001",
                "price": "55 000 ₽",
            },
        ),
    ],
)
def test_the_chat_gives_name_and_ad(name: str, chat_sample: str, client: str, ad: Json) -> None:
    """
    The customer's name and the ad come from the chat, also after it was kept in Redis.
    """
    found = chats.from_json(chats.to_json(chats.of(sample(chat_sample))))  # type: ignore[arg-type]
    got = normalised(sample(name), chat=found)
    meta = got["meta"]
    assert isinstance(meta, dict)

    assert (client, ad) == (got["client_name"], meta["ad"])


def test_a_user_with_many_avatars_is_just_a_name() -> None:
    """
    Of a user only id and name are read.
    """
    found = chats.of({"users": [sample("11_user_with_extended_avatar_2024")]})

    assert Chat(names={CUSTOMER: "Иван"}) == found


@pytest.mark.parametrize(("author", "expected"), [(CUSTOMER, "Иван"), (ACCOUNT, "Пётр"), ("0", "Пётр"), (None, "Пётр")])
def test_the_client_is_never_the_account(author: str | None, expected: str) -> None:
    """
    The name is the author's; for our own and Avito's messages it is that of the first other person.
    """
    chat = Chat(names={ACCOUNT: "Магазин", "7": "Пётр", CUSTOMER: "Иван"})

    assert expected == chat.client_name(ACCOUNT, author)


@pytest.mark.parametrize(
    "context",
    [
        None,
        {},
        {"type": "user", "value": {"title": "T"}},
        {"type": "item", "value": {"title": ""}},
        "odd",
        {"value": []},
    ],
)
def test_a_chat_without_an_ad_has_none(context: object) -> None:
    """
    Chats by profile have no ad, whatever their context looks like.
    """
    assert Chat(names={}) == chats.of({"context": context, "users": "odd"})


def test_a_part_of_an_ad_is_an_ad() -> None:
    """
    What is missing in an ad is null.
    """
    assert Ad(title="T", url=None, price=None) == chats.of({"context": {"type": "item", "value": {"title": "T"}}}).ad


def test_what_others_left_in_the_cache_is_not_trusted() -> None:
    """
    A cached chat that is not JSON, or not an object, counts as unknown.
    """
    assert [chats.from_json("{"), chats.from_json("[]")] == [None, None]


def test_the_timestamp_is_local_and_the_moment_is_not() -> None:
    """
    `timestamp` is naive in TIMEZONE, `occurred_at` is UTC.
    """
    got = normalised(sample("02_webhook_v3_text_in_2025_published_at"), zone=ZoneInfo("Europe/Moscow"))
    meta = got["meta"]
    assert isinstance(meta, dict)

    assert (got["timestamp"], meta["occurred_at"]) == ("2025-08-11T15:44:44", "2025-08-11T12:44:44+00:00")


@pytest.mark.parametrize(
    ("created", "timestamp", "expected"),
    [
        (None, 1754916287, "2025-08-11T12:44:47"),
        ("2025-08-11", 1754916287, "2025-08-11T12:44:47"),
        (10**30, 1754916287, "2025-08-11T12:44:47"),
        (True, -1, "2025-08-11T12:44:47"),
        (1754916284.9, None, "2025-08-11T12:44:44"),
    ],
)
def test_a_message_without_a_time_has_the_next_best(created: object, timestamp: object, expected: str) -> None:
    """
    Without a usable `created` the time is the webhook's, else when the gateway got it.
    """
    value = {"created": created} if created is not None else {}

    assert expected == normalised({"timestamp": timestamp, "payload": {"value": value}})["timestamp"]


def test_direction_and_voice_link_are_passed_on() -> None:
    """
    What the forwarder found out stands in the event.
    """
    got = normalised(sample("03_webhook_v3_echo_own_message_2025"), direction="out", voice_url="https://v.mp4")
    meta, media = got["meta"], got["media"]
    assert isinstance(meta, dict)
    assert isinstance(media, dict)

    assert (meta["direction"], media["voice_url"]) == ("out", "https://v.mp4")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (7463793992, "7463793992"),
        (2**63, "9223372036854775808"),
        ("77", "77"),
        (5.0, "5"),
        (5.5, None),
        (None, None),
        ("", None),
        (True, None),
        ([], None),
        ({}, None),
    ],
)
def test_an_id_is_text_or_null(value: object, expected: str | None) -> None:
    """
    Ids are texts whatever Avito sends, beyond 32 bits too; nothing is made up.
    """
    got = normalised({"payload": {"value": {"item_id": value, "author_id": value}}})
    meta = got["meta"]
    assert isinstance(meta, dict)

    assert (expected, expected) == (meta["ad_id"], got["external_user_id"])


@pytest.mark.parametrize("body", ["", "{", "[]", "1", '"text"', "null", "[" * 100_000, "9" * 5000])
def test_what_is_not_an_object_is_malformed(body: str) -> None:
    """
    Only a JSON object is a webhook.
    """
    assert webhook.read(body) is None


def test_numbers_that_json_cannot_carry_become_null() -> None:
    """
    NaN and numbers beyond a double are read as null, so the event stays JSON.
    """
    message = webhook.read('{"payload":{"value":{"a":NaN,"b":1e999,"c":-Infinity,"d":1.5}}}')

    assert message is not None
    assert message.raw == {"a": None, "b": None, "c": None, "d": 1.5}


def test_half_a_surrogate_pair_can_be_sent() -> None:
    """
    A text that UTF-8 cannot say stays escaped; others are readable.
    """
    assert (b'{"text":"\\ud83d"}', '{"text":"да"}'.encode()) == (
        encode({"text": "\ud83d"}).encode(),
        encode({"text": "да"}).encode(),
    )


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
FIELDS = ("id", "chat_id", "user_id", "author_id", "created", "type", "chat_type", "content", "item_id", "odd")
PARTS = ("text", "image", "link", "item", "location", "voice", "call", "sizes")
CONTENT = st.dictionaries(st.sampled_from(PARTS), ANY_JSON | st.dictionaries(st.sampled_from(PARTS), ANY_JSON))
VALUE = st.dictionaries(st.sampled_from(FIELDS), ANY_JSON | CONTENT)
PAYLOAD = st.fixed_dictionaries({}, optional={"type": ANY_JSON, "value": VALUE | ANY_JSON})
WEBHOOK = st.fixed_dictionaries({}, optional={"id": ANY_JSON, "timestamp": ANY_JSON, "payload": PAYLOAD | ANY_JSON})


# Shared machines are slow at times; what counts here is what comes out.
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(found=WEBHOOK | st.dictionaries(st.text(), ANY_JSON), chat=st.dictionaries(st.text(), ANY_JSON))
def test_no_object_breaks_the_normaliser(found: Json, chat: Json) -> None:
    """
    Whatever object Avito sends becomes an event of the same shape that is JSON and UTF-8.
    """
    message = webhook.read(json.dumps(found))
    assert message is not None
    written = encode(normalise(message, around(chat=chats.of(chat)))).encode()
    got = json.loads(written, parse_constant=pytest.fail)

    assert [*event({"chat_id": 0, "id": 0, "type": 0}, envelope={"id": 0, "timestamp": 0}, text="", timestamp="")] == [
        *got
    ]
    assert isinstance(got["text"], str)


@pytest.mark.parametrize("recovered", [True, False])
def test_a_message_without_a_webhook_says_so(recovered: bool) -> None:
    """
    `meta.recovered` is true for a message that was found in its chat, and not there for all others.
    """
    meta = normalised(sample("02_webhook_v3_text_in_2025_published_at"), recovered=recovered)["meta"]

    assert isinstance(meta, dict)
    assert ({"recovered": True} if recovered else {}) == {name: meta[name] for name in meta if name == "recovered"}
