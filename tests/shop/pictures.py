"""The pictures of the shop, drawn: no binary file, no licence.

GET /pictures/{name}.svg
"""

from aiohttp import web

SHAPES = {
    "lamp": '<path d="M55 30h50l14 34H41z" fill="#e9b44c"/><path d="M80 64v34M58 102h44"/>',
    "chair": '<path d="M56 24v78M56 64h46M102 64v38" /><path d="M56 64h46v10H56z" fill="#9b6a4a"/>',
    "table": '<path d="M34 52h92v9H34z" fill="#9b6a4a"/><path d="M46 61v42M114 61v42"/>',
    "rug": '<path d="M32 36h96v52H32z" fill="#b5533c"/><path d="M44 48h72v28H44z"/>',
    "cup": '<path d="M50 44h60l-8 44H58z" fill="#7fa3a8"/><path d="M44 96h72"/>',
}


async def picture(request: web.Request) -> web.Response:
    shape = SHAPES.get(request.match_info["name"])
    if shape is None:
        raise web.HTTPNotFound
    text = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 160 120"><rect width="160" '
        f'height="120" rx="12" fill="#f3ede4"/><g fill="none" stroke="#3a3430" stroke-width="5" '
        f'stroke-linecap="round">{shape}</g></svg>'
    )
    headers = {"Cache-Control": "max-age=60"}
    return web.Response(text=text, content_type="image/svg+xml", headers=headers)


ROUTES = (web.get("/pictures/{name}.svg", picture),)
