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
    "login.on": Text("Go on", "Продолжить"),
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
    "error.rate_limited": Text("No request to Avito is free now", "Сейчас нет свободного запроса к Авито"),
    "error.rate_limited.detail": Text(
        "The limit is used up, or pausing. The overview shows until when.",
        "Лимит исчерпан, или запросы приостановлены. Обзор показывает, до каких пор.",
    ),
    "error.avito_unavailable": Text("Avito does not answer", "Авито не отвечает"),
    "error.avito_blocked": Text("Avito denies this account", "Авито отказывает этому аккаунту"),
    "error.avito_token_refused": Text(
        "Avito refuses the client id and secret", "Авито не принимает client id и secret"
    ),
    "error.avito_refused": Text("Avito refused", "Авито отказал"),
    "error.avito_not_found": Text("Avito does not know this", "Авито этого не знает"),
    "error.validation_failed": Text("This cannot be sent so", "Так отправить нельзя"),
    "error.queue_full": Text("The queue is full", "Очередь переполнена"),
    "error.retry": Text("Try again", "Попробовать снова"),
    "error.again": Text("The page tries again by itself.", "Страница попробует снова сама."),
    # Overview
    "cancel": Text("Cancel", "Отмена"),
    "side.commands": Text("Towards Avito", "В Авито"),
    "side.events": Text("Towards n8n", "В n8n"),
    "side.open": Text("open", "открыто"),
    "side.paused": Text("pausing", "пауза"),
    "side.held": Text("paused by hand", "остановлено вручную"),
    "pause.button": Text("Pause", "Приостановить"),
    "resume.button": Text("Resume", "Продолжить"),
    "pause.title.commands": Text("Pause sending to Avito?", "Приостановить отправку в Авито?"),
    "pause.title.events": Text("Pause deliveries to n8n?", "Приостановить доставку в n8n?"),
    "pause.detail.commands": Text(
        "Messages are still accepted and kept. Requests under way end. Chats can still be read.",
        "Сообщения по-прежнему принимаются и хранятся. Начатые запросы завершатся. Чаты можно читать.",
    ),
    "pause.detail.events": Text(
        "Messages that come in are still accepted and kept. Deliveries under way end.",
        "Входящие сообщения по-прежнему принимаются и хранятся. Начатые доставки завершатся.",
    ),
    "pause.why": Text("Reason, for whoever looks", "Причина, для того, кто посмотрит"),
    "gate.used": Text(
        "{out} of {limit} requests of the last {window} are used.",
        "Использовано запросов за {window}: {out} из {limit}.",
    ),
    "gate.of": Text("of {limit} requests in {window} used", "из {limit} запросов за {window} использовано"),
    "gate.each": Text("(each dot: {count})", "(в точке: {count})"),
    "gate.now": Text("now", "сейчас"),
    "gate.returns": Text("free again", "освободятся"),
    "slots": Text("Open at once: {open} of {most}", "Открыто сразу: {open} из {most}"),
    "queue": Text("Queue", "Очередь"),
    "queue.name.commands": Text("Single messages", "Одиночные"),
    "queue.name.bulk": Text("Bulk", "Рассылки"),
    "queue.name.events": Text("Events", "События"),
    "queue.new": Text("new", "новые"),
    "queue.in_flight": Text("in flight", "в работе"),
    "queue.retrying": Text("later", "позже"),
    "queue.behind": Text("behind", "следом"),
    "queue.oldest": Text("oldest", "возраст"),
    "queue.dead": Text("Dead letters: {count}", "Недоставленных: {count}"),
    "waits.nothing": Text("Nothing waits.", "Ничего не ждёт."),
    "waits.moving": Text("Messages are moving.", "Сообщения идут."),
    "waits.stalled.commands": Text(
        "Nobody reads the queue. Start `avito-gateway run dispatcher`, or look at its log.",
        "Очередь никто не читает. Запустите `avito-gateway run dispatcher` или посмотрите его журнал.",
    ),
    "waits.stalled.events": Text(
        "Nobody reads the queue. Start `avito-gateway run forwarder`, or look at its log.",
        "Очередь никто не читает. Запустите `avito-gateway run forwarder` или посмотрите его журнал.",
    ),
    "waits.held": Text("Paused by hand since {since} ({by}).", "Остановлено вручную с {since} ({by})."),
    "waits.held_why": Text("Paused by hand since {since} ({by}): {why}", "Остановлено вручную с {since} ({by}): {why}"),
    "waits.state_lost": Text(
        "Redis lost its data, so nothing is sent for one window: {left} more.",
        "Redis потерял данные, поэтому одно окно ничего не отправляется: ещё {left}.",
    ),
    "waits.paused.commands": Text(
        "Avito asked to wait: {left} more. Its answer: {reason}", "Авито просит подождать: ещё {left}. Ответ: {reason}"
    ),
    "waits.paused.events": Text(
        "n8n is away, next try in {left}. Its last answer: {reason}",
        "n8n недоступен, следующая попытка через {left}. Последний ответ: {reason}",
    ),
    "waits.probe": Text(
        "One request tries whether it works again. The reason: {reason}",
        "Один запрос проверяет, работает ли снова. Причина: {reason}",
    ),
    "waits.rate": Text(
        "All {limit} requests of this window are used. The next one is free in {left}.",
        "Все запросы окна использованы: {limit}. Следующий освободится через {left}.",
    ),
    "waits.reserve": Text(
        "Bulk messages ({count}) leave the last {reserve} requests of the window to single ones.",
        "Рассылки ({count}) оставляют последние запросы окна ({reserve}) одиночным сообщениям.",
    ),
    "waits.pace": Text(
        "Bulk messages go out evenly, as far as single ones leave room: {count}",
        "Рассылки идут равномерно, насколько позволяют одиночные сообщения: {count}",
    ),
    "waits.slots": Text("All connections are in use: {slots}.", "Все соединения заняты: {slots}."),
    "waits.behind": Text(
        "Behind an earlier message of their chat: {count}", "Ждут более раннего сообщения своего чата: {count}"
    ),
    "waits.retrying.commands": Text(
        "Scheduled, or tried again later: {count}", "Отложены или будут отправлены повторно: {count}"
    ),
    "waits.retrying.events": Text("Delivered again later: {count}", "Будут доставлены повторно: {count}"),
    "hour.title": Text("The last hour, minute by minute", "Последний час по минутам"),
    "hour.accepted": Text("accepted", "принято"),
    "hour.done.commands": Text("sent", "отправлено"),
    "hour.done.events": Text("delivered", "доставлено"),
    "hour.failed": Text("failed", "с ошибкой"),
    "hour.waiting": Text("waiting", "ждёт"),
    "hour.label.commands": Text(
        "Towards Avito in the last hour: accepted {accepted}, sent {done}, failed {failed}.",
        "В Авито за последний час: принято {accepted}, отправлено {done}, с ошибкой {failed}.",
    ),
    "hour.label.events": Text(
        "Towards n8n in the last hour: accepted {accepted}, delivered {done}, failed {failed}.",
        "В n8n за последний час: принято {accepted}, доставлено {done}, с ошибкой {failed}.",
    ),
    # Chats
    "refresh": Text("Refresh", "Обновить"),
    "chats.all": Text("All chats", "Все чаты"),
    "chats.unread": Text("Unread only", "Только непрочитанные"),
    "chats.new": Text("unread", "не прочитано"),
    "chats.you": Text("You:", "Вы:"),
    "chats.nobody": Text("No name", "Без имени"),
    "chats.none": Text("There are no chats.", "Чатов нет."),
    "chats.none_unread": Text("Nothing is unread.", "Непрочитанных нет."),
    "chats.pages": Text("Further chats", "Другие чаты"),
    "chats.first": Text("Newest", "Новые"),
    "chats.further": Text("Further", "Дальше"),
    "chats.cost": Text(
        "Asked of Avito just now. Each look costs a request of the limit, a conversation two.",
        "Только что запрошено у Авито. Каждый просмотр стоит одного запроса из лимита, переписка двух.",
    ),
    "chat.messages": Text("Messages", "Сообщения"),
    "chat.mark_read": Text("Mark as read", "Отметить прочитанным"),
    "chat.earlier": Text("Earlier messages", "Более ранние"),
    "chat.newest": Text("Newest messages", "Новые сообщения"),
    "chat.empty": Text("There are no messages here.", "Сообщений здесь нет."),
    "chat.answer": Text("Answer", "Ответ"),
    "chat.send": Text("Send", "Отправить"),
    "chat.limit": Text("At most {most} characters.", "Не больше {most} знаков."),
    "message.in": Text("From the customer.", "От покупателя."),
    "message.out": Text("From you.", "От вас."),
    "message.system": Text("From Avito.", "От Авито."),
    "message.read": Text("read", "прочитано"),
    "message.unread": Text("unread", "не прочитано"),
    "message.image": Text("Picture", "Изображение"),
    "message.voice": Text("Voice message", "Голосовое сообщение"),
    "message.video": Text("Video", "Видео"),
    "message.file": Text("File", "Файл"),
    "message.call": Text("Call", "Звонок"),
    "message.appCall": Text("Call in the app", "Звонок в приложении"),
    "message.location": Text("Place:", "Место:"),
    "message.item": Text("Ad:", "Объявление:"),
    "message.link": Text("Link", "Ссылка"),
    "message.deleted": Text("Deleted message", "Удалённое сообщение"),
    "message.other": Text("Message of another kind", "Сообщение другого вида"),
    "status.queued": Text("queued", "в очереди"),
    "status.scheduled": Text("scheduled", "запланировано"),
    "status.sending": Text("being sent", "отправляется"),
    "status.retrying": Text("will be tried again", "будет повторено"),
    "status.unknown": Text("outcome unknown", "исход неизвестен"),
    "status.sent": Text("sent", "отправлено"),
    "status.failed": Text("failed", "не удалось"),
    "status.cancelled": Text("cancelled", "отменено"),
    "status.expired": Text("expired", "истёк срок"),
    # Messages
    "nav.messages": Text("Messages", "Сообщения"),
    "nav.dead": Text("Dead letters", "Недоставленные"),
    "status.delivered": Text("delivered", "доставлено"),
    "status.skipped": Text("left out", "пропущено"),
    "find.text": Text("Text", "Текст"),
    "find.chat": Text("Chat", "Чат"),
    "find.id": Text("Id", "Номер"),
    "find.state": Text("State", "Состояние"),
    "find.side": Text("Direction", "Направление"),
    "find.any": Text("any", "любое"),
    "find.button": Text("Search", "Найти"),
    "find.clear": Text("Clear", "Сбросить"),
    "find.nothing": Text("Nothing was found.", "Ничего не найдено."),
    "find.looked": Text("Messages looked at: {number}.", "Просмотрено сообщений: {number}."),
    "find.back_to": Text("Back to {moment}.", "До {moment}."),
    "find.older": Text("Search further back", "Искать дальше назад"),
    "find.hint": Text(
        "The list goes back 72 hours. The id is ours or the one that Avito gave to a message we sent.",
        "Список охватывает 72 часа. Номер: наш или тот, который Авито дал отправленному сообщению.",
    ),
    "message.title": Text("Message", "Сообщение"),
    "message.what": Text("What it says", "Содержание"),
    "message.now": Text("Where it stands", "Что с ним"),
    "message.no_text": Text("No text is kept ({kind})", "Текста нет ({kind})"),
    "message.kind": Text("Kind", "Вид"),
    "message.accepted": Text("Accepted", "Принято"),
    "message.of_chat": Text("all its messages", "все его сообщения"),
    "message.field.priority": Text("Priority", "Приоритет"),
    "message.field.batch_id": Text("Batch", "Пакет"),
    "message.field.message_id": Text("Id at Avito", "Номер в Авито"),
    "message.field.callback_url": Text("Tells of its end", "Сообщит об исходе"),
    "message.timeline": Text("What happened", "Что происходило"),
    "message.response": Text("Avito's answer", "Ответ Авито"),
    "message.to_dead": Text("To the dead letters of this chat", "К недоставленным этого чата"),
    "step.accepted": Text("accepted", "принято"),
    "step.attempt": Text("attempt", "попытка"),
    "why.held": Text("This direction is paused by hand: {who}, {why}", "Направление остановлено вручную: {who}, {why}"),
    "why.paused": Text("Paused for {duration}: {reason}", "Пауза {duration}: {reason}"),
    "why.behind": Text("Messages of this chat before it: {number}.", "Сообщений этого чата перед ним: {number}."),
    "why.head": Text("The one whose turn it is", "Чья сейчас очередь"),
    "why.unseen": Text("Messages before it, at least: {number}.", "Перед ним сообщений, не меньше: {number}."),
    "why.due": Text("Its time comes in {duration}.", "Его время наступит через {duration}."),
    "why.last_error": Text("The last attempt: {error}", "Последняя попытка: {error}"),
    "why.sending": Text("A worker has it now.", "Им сейчас занят обработчик."),
    "why.rate": Text("All {number} requests of the window are used.", "Все запросы этого окна заняты: {number}."),
    "resolve.hint": Text(
        "It may have been sent. Look into the chat, then say what became of it.",
        "Возможно, оно отправлено. Посмотрите в чат и скажите, чем закончилось.",
    ),
    "resolve.message_id": Text("Its id at Avito, if known", "Номер в Авито, если известен"),
    "resolve.sent": Text("It was sent", "Отправлено"),
    "resolve.not_sent": Text("It was not: send it again", "Не отправлено: отправить снова"),
    "cancel.button": Text("Cancel", "Отменить"),
    "cancel.confirm": Text("Cancel this message? It will not be sent.", "Отменить сообщение? Оно не будет отправлено."),
    "error.command_sending": Text("It is being sent just now", "Оно как раз отправляется"),
    "error.command_sending.detail": Text("Look again in a moment.", "Посмотрите через мгновение."),
    "error.command_ended": Text("It has ended already", "Всё уже закончилось"),
    "error.command_ended.detail": Text("Load the page again to see how.", "Обновите страницу, чтобы увидеть, чем."),
    "error.command_not_unknown": Text("Nobody doubts what became of it", "Его исход не вызывает сомнений"),
    "error.command_not_unknown.detail": Text("It goes on by itself.", "Оно идёт своим ходом."),
    "error.unknown_command": Text("There is no such message", "Такого сообщения нет"),
    "error.unknown_command.detail": Text(
        "Records are kept for 72 hours after the end.", "Записи хранятся 72 часа после завершения."
    ),
    "error.unknown_event": Text("There is no such message", "Такого сообщения нет"),
    "error.unknown_event.detail": Text(
        "Records are kept for 72 hours after the end.", "Записи хранятся 72 часа после завершения."
    ),
    # Dead letters
    "reason.rejected": Text("refused", "отказ получателя"),
    "reason.expired": Text("too old", "слишком старое"),
    "reason.crashed": Text("workers ended with it", "обработчики падали"),
    "reason.unknown": Text("may have been sent", "возможно, отправлено"),
    "reason.malformed": Text("cannot be read", "не читается"),
    "reason.unknown_account": Text("of an unknown account", "неизвестный аккаунт"),
    "dead.reason": Text("Reason", "Причина"),
    "dead.since": Text("Died since", "Начиная с"),
    "dead.none": Text("There are none.", "Таких нет."),
    "dead.more": Text("All about it", "Подробнее"),
    "dead.attempts": Text("Attempts", "Попыток"),
    "dead.crashes": Text("Crashes", "Падений"),
    "dead.first_at": Text("First attempt", "Первая попытка"),
    "dead.redrive": Text("Put back", "Вернуть"),
    "dead.drop": Text("Drop", "Удалить"),
    "dead.redrive_all": Text("Put all back", "Вернуть все"),
    "dead.redrive_fitting": Text("Put back all that fit", "Вернуть все подходящие"),
    "dead.drop_all": Text("Drop all", "Удалить все"),
    "dead.drop_fitting": Text("Drop all that fit", "Удалить все подходящие"),
    "dead.confirm.redrive": Text("Put back into the queue?", "Вернуть в очередь?"),
    "dead.confirm.drop": Text("Drop for good?", "Удалить навсегда?"),
    "dead.how_many": Text("Messages: {number}", "Сообщений: {number}"),
    "dead.at_least": Text("or more", "или больше"),
    "dead.redrive_hint": Text(
        "Attempts count from 0 again. What may have been sent is looked up in the chat first. "
        "What dies from now on is not meant.",
        "Попытки считаются заново. Если сообщение могло уйти, шлюз сначала проверит чат. "
        "То, что появится позже, не затронется.",
    ),
    "dead.rate": Text("How fast", "Как быстро"),
    "dead.rate.at_once": Text("all at once", "все сразу"),
    "dead.rate.number": Text("{number} a minute", "{number} в минуту"),
    "dead.redrive_now": Text("Put them back", "Вернуть"),
    "dead.drop_hint": Text(
        "Their texts are deleted and can never be sent or delivered again. Nobody is told.",
        "Их тексты удаляются, отправить или доставить их больше нельзя. Никто об этом не узнает.",
    ),
    "dead.drop_sure": Text("These messages are lost, I know that.", "Понимаю: эти сообщения пропадут."),
    "dead.drop_now": Text("Drop them", "Удалить"),
    "dead.back": Text("To the dead letters", "К недоставленным"),
    "dead.once": Text("This was done already, or is being done.", "Это уже сделано или делается."),
    "dead.done.redrive": Text("Put back: {number}.", "Возвращено: {number}."),
    "dead.done.drop": Text("Dropped: {number}.", "Удалено: {number}."),
    "dead.last_goes": Text("The last one goes at {moment}.", "Последнее уйдёт в {moment}."),
    "dead.go_on": Text("Go on", "Дальше"),
}
