"""containerd-shim-pyrunc-v1: containerd's task service, with the containers as child processes of the shim.

containerd starts one shim per pod (``entry``). The shim answers its calls over ttrpc (``ttrpc``, ``messages``) by
``pyrunc.Container`` (``service``). One thread runs the loop (``loop``) and owns all data about the containers
(``tasks``). A few workers execute calls that may block, such as creating a container, and change none of that data.
"""
