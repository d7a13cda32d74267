"""
Every text of the console: English, Russian.

Braces are filled in by `str.format`. Counts stand after a colon, so that no plural is needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple


class Text(NamedTuple):
    """
    One text in both languages.
    """

    en: str
    ru: str


TEXTS: Final[Mapping[str, Text]] = {
    # Every page
    "skip": Text("Skip to the content", "Перейти к содержанию"),
    "menu": Text("Pages", "Страницы"),
    "account": Text("Account", "Аккаунт"),
    "show": Text("Show", "Показать"),
    "language": Text("Language", "Язык"),
    "language.en": Text("English", "English"),
    "language.ru": Text("Русский", "Русский"),
    "log_out": Text("Log out", "Выйти"),
    "open.title": Text(
        "Anybody who reaches this address can use this console.", "Консоль открыта всем, кто до неё дотянется."
    ),
    "open.detail": Text(
        "API_KEY is not set. Set it and start again: the console then asks for it. `avito-gateway init` writes one.",
        "API_KEY не задан. Задайте его и перезапустите программу: тогда консоль спросит ключ. "
        "Его создаёт `avito-gateway init`.",
    ),
    "offline": Text("The gateway does not answer. Trying again.", "Шлюз не отвечает. Пробую снова."),
    "unit.d": Text("d", "д"),
    "unit.h": Text("h", "ч"),
    "unit.min": Text("min", "мин"),
    "unit.s": Text("s", "с"),
    "nav.overview": Text("Overview", "Обзор"),
    "nav.chats": Text("Chats", "Чаты"),
    # Login
    "login.title": Text("Log in", "Вход"),
    "login.key": Text("API key", "Ключ API"),
    "login.hint": Text("The value of API_KEY.", "Значение API_KEY."),
    "login.button": Text("Log in", "Войти"),
    "login.wrong": Text("This is not the key.", "Ключ не подходит."),
    # Errors
    "error.back": Text("To the overview", "К обзору"),
    "error.other": Text("This did not work", "Не получилось"),
    "error.not_found": Text("There is no such page", "Такой страницы нет"),
    "error.not_found.detail": Text(
        "The address is wrong, or what it names is gone.", "Адрес неверный, или того, о чём он, уже нет."
    ),
    "error.unknown_account": Text("There is no such account", "Такого аккаунта нет"),
    "error.unknown_account.detail": Text(
        "No account with this id is configured here.", "Аккаунт с таким номером здесь не настроен."
    ),
    "error.bad_account": Text("This is not an account id", "Это не номер аккаунта"),
    "error.bad_account.detail": Text("An account id has digits only.", "Номер аккаунта состоит только из цифр."),
    "error.not_configured": Text("No account is configured", "Ни один аккаунт не настроен"),
    "error.not_configured.detail": Text(
        "Set AVITO_CLIENT_ID, AVITO_CLIENT_SECRET and AVITO_USER_ID, then start again.",
        "Задайте AVITO_CLIENT_ID, AVITO_CLIENT_SECRET и AVITO_USER_ID и перезапустите программу.",
    ),
    "error.redis_unavailable": Text("Redis does not answer", "Redis не отвечает"),
    "error.redis_unavailable.detail": Text(
        "Nothing can be read or changed until it is back. Messages that were accepted are kept there.",
        "Пока он не вернётся, ничего нельзя прочитать и изменить. Принятые сообщения хранятся в нём.",
    ),
    "error.redis_misconfigured": Text("Redis refuses the gateway's commands", "Redis отклоняет команды шлюза"),
    "error.redis_misconfigured.detail": Text("The log names the reason.", "Причина указана в журнале."),
    "error.internal_error": Text("The gateway has a fault", "Ошибка в шлюзе"),
    "error.internal_error.detail": Text("The log has the details.", "Подробности в журнале."),
    "error.forged": Text("This change was refused", "Изменение отклонено"),
    "error.forged.detail": Text(
        "It does not come from a page of this session. Load the page again and repeat it.",
        "Оно пришло не со страницы этой сессии. Обновите страницу и повторите.",
    ),
    "error.rate_limited": Text("No request to Avito is free now", "Сейчас нет свободного запроса к Avito"),
    "error.again": Text("The page tries again by itself.", "Страница попробует снова сама."),
}
