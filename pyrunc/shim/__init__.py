"""containerd-shim-pyrunc-v1: containerd's task service, with the containers in this process.

containerd starts one shim a pod (``entry``), which answers its calls over ttrpc (``ttrpc``, ``messages``) by
``pyrunc.Container`` (``service``). One thread runs the loop (``loop``) and owns all that is known of the containers
(``tasks``); what may block, as creating one, is done by a few workers, which change nothing of it.
"""
